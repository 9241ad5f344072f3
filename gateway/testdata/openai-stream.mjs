// Streams a picture with the npm package "openai" and prints what it saw as JSON.
// Usage: node openai-stream.mjs BASE_URL API_KEY, in a folder whose node_modules has openai.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")));
const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const ask = { prompt: "a red apple", model: "pixel-test", stream: true, partial_images: 2, seed: 11 };
const out = { types: [] };
for await (const event of await client.images.generate(ask)) {
  out.types.push(event.type);
  if (event.type === "image_generation.partial_image") {
    out.partial = event.b64_json;
    out.index = event.partial_image_index;
  } else {
    out.final = event.b64_json;
    out.receipt = event.essaim.receipt;
  }
}
try {
  await client.images.generate({ ...ask, partial_images: 9 });
} catch (e) {
  out.tooMany = { status: e.status, code: e.code };
}
console.log(JSON.stringify(out));
