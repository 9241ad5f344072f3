"use strict";
// Loads the checker and the model's public part, then checks what the form names. With ?picture=&receipt=&proof= in
// its address the page fetches these instead, and with &prompt= it checks at once.

const byId = (id) => document.getElementById(id);
const bytesOf = async (source) => {
  const answer = source instanceof Blob ? source : await fetch(source);
  if (answer.ok === false) throw new Error(`${source}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
};

async function load() {
  const go = new Go();
  const began = performance.now();
  const { instance } = await WebAssembly.instantiateStreaming(fetch("certificate.wasm"), go.importObject);
  const ready = new Promise((done) => document.addEventListener("essaim", done, { once: true }));
  go.run(instance);
  await ready;
  const key = essaimKey(await bytesOf("pixel.key"));
  if (!key.ok) throw new Error(key.error);
  byId("said").value = `Ready in ${Math.round(performance.now() - began)} ms.`;
  byId("check").disabled = false;
}

async function check(sources, prompt) {
  const [picture, receipt, proof] = await Promise.all(sources.map(bytesOf));
  const began = performance.now();
  const found = essaimCheck({ picture, receipt, proof, prompt });
  found.total = performance.now() - began;
  const shown = byId("shown");
  shown.src = URL.createObjectURL(new Blob([picture], { type: "image/png" }));
  shown.alt = prompt;
  shown.hidden = false;
  byId("said").value = found.ok
    ? `Proven: this is what model ${found.model.slice(0, 8)} draws for “${prompt}” with seed ${found.seed}.\n` +
      `Checked in ${Math.round(found.ms)} ms without the weights.\nSigned by miner ${found.miner}, on ${found.chain}.`
    : `Refused: ${found.error}`;
  document.dispatchEvent(new CustomEvent("checked", { detail: found }));
  return found;
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const files = ["picture", "receipt", "proof"].map((id) => byId(id).files[0]);
  check(files, byId("prompt").value).catch((error) => { byId("said").value = String(error); });
});

load().then(() => {
  const asked = new URLSearchParams(location.search);
  const sources = ["picture", "receipt", "proof"].map((id) => asked.get(id));
  if (!sources.every(Boolean)) return;
  byId("prompt").value = asked.get("prompt") ?? "";
  if (asked.has("prompt")) return check(sources, asked.get("prompt"));
}).catch((error) => { byId("said").value = String(error); });
