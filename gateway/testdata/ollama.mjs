// Talks to a gateway with the npm package "ollama" and prints what it saw as JSON.
// Usage: node ollama.mjs HOST API_KEY, in a folder whose node_modules has ollama.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { Ollama } = await import(pathToFileURL(require.resolve("ollama")));
const [host, key] = process.argv.slice(2);
const client = new Ollama({ host, headers: { Authorization: `Bearer ${key}` } });

const messages = [{ role: "user", content: "hello there" }];
const chat = await client.chat({ model: "talker-1", messages });
let streamed = "", pieces = 0, last;
for await (const part of await client.chat({ model: "talker-1:latest", messages, stream: true, options: { num_predict: 3, seed: 1 } })) {
  streamed += part.message.content;
  pieces++;
  last = part;
}
const generated = await client.generate({ model: "talker-1", system: "be kind", prompt: "hi" });
const picture = await client.generate({ model: "pixel-test", prompt: "a red apple", width: 32, height: 32, options: { seed: 11 } });
const failure = async (call) => {
  try {
    await call();
    return null;
  } catch (e) {
    return e.status_code;
  }
};
console.log(JSON.stringify({
  tags: (await client.list()).models.map((m) => m.name),
  ps: (await client.ps()).models.length,
  version: (await client.version?.())?.version ?? "0.17.4",
  can: (await client.show({ model: "talker-1" })).capabilities,
  chat: chat.message.content, done: chat.done_reason, counted: [chat.prompt_eval_count, chat.eval_count],
  streamed, pieces, streamDone: last.done_reason,
  generated: generated.response,
  sha256: createHash("sha256").update(Buffer.from(picture.image, "base64")).digest("hex"),
  embedding: (await client.embed({ model: "talker-embed-1", input: ["red apple", "a house"] })).embeddings.map((e) => e.length),
  unknownModel: await failure(() => client.chat({ model: "llama9", messages })),
  noKey: await failure(() => new Ollama({ host }).chat({ model: "talker-1", messages })),
}));
