#!/usr/bin/env node
// llama.cpp as an engine for essaim, through the npm package node-llama-cpp (3.22.1), with a model
// that completes a text. In a folder whose node_modules has it: llama.mjs FILE.gguf
import { createInterface } from "node:readline";
import { basename } from "node:path";
import { getLlama, LlamaCompletion } from "node-llama-cpp";

const path = process.argv[2];
const llama = await getLlama({ build: "never", gpu: false, logLevel: "error" });
const model = await llama.loadModel({ modelPath: path });
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const running = new Map();

async function run(r) {
  const stop = new AbortController();
  running.set(r.id, stop);
  const context = await model.createContext({ contextSize: 512, sequences: 1, threads: 1 });
  try {
    const text = r.messages.map((m) => m.content).join("\n");
    const tokens = model.tokenize(text);
    const completion = new LlamaCompletion({ contextSequence: context.getSequence() });
    let written = 0;
    const res = await completion.generateCompletionWithMeta(tokens, {
      maxTokens: r.steps, seed: r.seed, temperature: r.temperature ?? 0.8, signal: stop.signal,
      onTextChunk: (t) => say({ id: r.id, text: t }),
      onToken: (t) => { written += t.length; },
    });
    say({ id: r.id, result: { finish: res.metadata.stopReason === "maxTokens" ? "length" : "stop", read: tokens.length, written } });
  } catch (e) {
    say({ id: r.id, error: { kind: stop.signal.aborted ? "cancelled" : "failed", message: String(e) } });
  } finally {
    running.delete(r.id);
    await context.dispose();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const r = JSON.parse(line);
  if (r.method === "models") say({ id: r.id, models: [{ name: basename(path), kind: "text.chat", min_steps: 1, max_steps: 256, steps: 64 }] });
  else if (r.method === "cancel") running.get(r.id)?.abort();
  else run(r);
}
