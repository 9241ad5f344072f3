// Asks for pictures with the npm package "@zeldafan0225/ai_horde" and prints what it saw as JSON.
// Usage: node horde.mjs BASE_URL API_KEY, in a folder whose node_modules has it.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { AIHorde } = require("@zeldafan0225/ai_horde");
const [api_route, token] = process.argv.slice(2);
const horde = new AIHorde({ api_route, default_token: token, client_agent: "essaim:test:0" });

const ask = { prompt: "a red apple", models: ["other", "pixel-test"], params: { n: 2, seed: "11", width: 32, height: 32, steps: 50, sampler_name: "k_euler" } };
const failure = async (what) => {
  try {
    await what();
    return null;
  } catch (e) {
    return { status: e.status, code: e.error_code ?? e.rawError?.rc };
  }
};
const out = {};
out.dry = (await horde.postAsyncImageGenerate({ ...ask, dry_run: true }, { token })).kudos;
const accepted = await horde.postAsyncImageGenerate({ ...ask, r2: false }, { token });
out.warnings = accepted.warnings.map((w) => w.code);
let check;
do {
  check = await horde.getImageGenerationCheck(accepted.id, { force: true });
} while (!check.done);
out.check = check;
const status = await horde.getImageGenerationStatus(accepted.id, { force: true });
out.sha256 = status.generations.map((g) => createHash("sha256").update(Buffer.from(g.img, "base64")).digest("hex"));
out.seeds = status.generations.map((g) => g.seed);
const linked = await horde.postAsyncImageGenerate(ask, { token });
while (!(await horde.getImageGenerationCheck(linked.id, { force: true })).done);
out.links = (await horde.getImageGenerationStatus(linked.id, { force: true })).generations.map((g) => g.img);
out.cancelled = await horde.deleteImageGenerationRequest(linked.id);
out.models = (await horde.getModels()).map((m) => m.name);
out.heartbeat = await horde.getHeartbeat();
out.user = (await horde.findUser({ token })).kudos;
out.noKey = await failure(() => horde.postAsyncImageGenerate(ask, { token: "nonsense" }));
out.badSize = await failure(() => horde.postAsyncImageGenerate({ ...ask, params: { width: 31, height: 31 } }, { token }));
out.unknownModel = await failure(() => horde.postAsyncImageGenerate({ ...ask, models: ["dall-e-9"] }, { token }));
out.unknownRequest = await failure(() => horde.getImageGenerationStatus("00000000-0000-4000-8000-000000000000", { force: true }));
console.log(JSON.stringify(out));
