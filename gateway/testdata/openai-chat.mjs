// Chats and embeds with the npm package "openai" and prints what it saw as JSON.
// Usage: node openai-chat.mjs BASE_URL API_KEY, in a folder whose node_modules has openai.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")));
const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const ask = { model: "talker-1", messages: [{ role: "user", content: "hello there" }] };
const { data: chat, response } = await client.chat.completions.create(ask).withResponse();
let streamed = "", pieces = 0, usage = null;
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  pieces++;
  usage = chunk.usage ?? usage;
}
const embedded = await client.embeddings.create({ model: "talker-embed-1", input: "red apple" });
const failure = async (change) => {
  try {
    await client.chat.completions.create({ ...ask, ...change });
    return null;
  } catch (e) {
    return { status: e.status, code: e.code };
  }
};
console.log(JSON.stringify({
  chat: chat.choices[0].message.content,
  finish: chat.choices[0].finish_reason,
  tokens: chat.usage.total_tokens,
  cost: response.headers.get("x-essaim-cost"),
  streamed, pieces, streamedTokens: usage?.total_tokens,
  embedding: embedded.data[0].embedding.map((x) => Math.fround(x)),
  unknownModel: await failure({ model: "gpt-9" }),
  tools: await failure({ tools: [{ type: "function", function: { name: "f" } }] }),
}));
