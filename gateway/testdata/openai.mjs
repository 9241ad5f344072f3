// Draws a picture with the npm package "openai" and prints what it saw as JSON.
// Usage: node openai.mjs BASE_URL API_KEY, in a folder whose node_modules has openai.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")));
const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const ask = { prompt: "a red apple", model: "pixel-test", size: "32x32", response_format: "b64_json", seed: 11 };
const models = (await client.models.list()).data.map((m) => m.id);
const { data, response } = await client.images.generate(ask).withResponse();
const failure = async (change) => {
  try {
    await client.images.generate({ ...ask, ...change });
    return null;
  } catch (e) {
    return { status: e.status, code: e.code };
  }
};
console.log(JSON.stringify({
  models,
  sha256: createHash("sha256").update(Buffer.from(data.data[0].b64_json, "base64")).digest("hex"),
  seed: data.data[0].essaim.seed,
  cost: response.headers.get("x-essaim-cost"),
  unknownModel: await failure({ model: "dall-e-9" }),
  badSize: await failure({ size: "1024x1024" }),
}));
