// Has a batch of pictures made with the npm package "openai" and prints what it saw as JSON.
// Usage: node openai-batch.mjs BASE_URL API_KEY, in a folder whose node_modules has openai.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { default: OpenAI, toFile } = await import(pathToFileURL(require.resolve("openai")));
const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const url = "/v1/images/generations";
const line = (custom_id, body) => JSON.stringify({ custom_id, method: "POST", url, body });
const lines = [
  line("a", { prompt: "a red apple", seed: 11, response_format: "b64_json" }),
  line("b", { prompt: "a green pear", seed: 12, response_format: "b64_json" }),
  line("bad", { prompt: "x", size: "9x9" }),
].join("\n");
const file = await client.files.create({ file: await toFile(Buffer.from(lines), "lines.jsonl"), purpose: "batch" });
let batch = await client.batches.create({ input_file_id: file.id, endpoint: url, completion_window: "24h" });
while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) batch = await client.batches.retrieve(batch.id);

const read = async (id) => (await (await client.files.content(id)).text()).trim().split("\n").map((l) => JSON.parse(l));
const done = (await read(batch.output_file_id)).sort((a, b) => a.custom_id.localeCompare(b.custom_id));
const listed = [];
for await (const b of client.batches.list()) listed.push(b.id);
console.log(JSON.stringify({
  status: batch.status,
  counts: [batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed],
  names: done.map((l) => l.custom_id),
  sha256: done.map((l) => createHash("sha256").update(Buffer.from(l.response.body.data[0].b64_json, "base64")).digest("hex")),
  receipts: done.map((l) => l.essaim.receipt),
  failed: (await read(batch.error_file_id)).map((l) => `${l.custom_id} ${l.response.status_code}`),
  listed: listed.length === 1 && listed[0] === batch.id,
  deleted: (await client.files.delete(file.id)).deleted,
}));
