// llama.cpp behind OpenAI's interface, by the package node-llama-cpp of npm: as much of it
// as a miner's engine asks for.
//   node llama.mjs MODEL.gguf PORT
import { createServer } from 'node:http'
import { getLlama, LlamaCompletion } from 'node-llama-cpp'

const [path, port] = process.argv.slice(2)
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' })
const model = await llama.loadModel({ modelPath: path })
const name = 'tiny'
let turn = Promise.resolve() // one chat at a time

async function chat(ask, res) {
  const prompt = ask.messages.map((m) => m.content).join('\n')
  const context = await model.createContext({ contextSize: 256 })
  try {
    const completion = new LlamaCompletion({ contextSequence: context.getSequence() })
    let written = 0
    const say = (delta, finish = null, usage) =>
      res.write('data: ' + JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: name, choices: usage ? [] : [{ index: 0, delta, finish_reason: finish }], usage }) + '\n\n')
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    const most = ask.max_tokens ?? 64
    await completion.generateCompletion(prompt, {
      maxTokens: most, temperature: ask.temperature ?? 1, seed: ask.seed,
      onTextChunk: (text) => say({ content: text }), onToken: (tokens) => { written += tokens.length },
    })
    say({}, written >= most ? 'length' : 'stop')
    say({}, null, { prompt_tokens: model.tokenize(prompt).length, completion_tokens: written, total_tokens: model.tokenize(prompt).length + written })
    res.end('data: [DONE]\n\n')
  } finally {
    await context.dispose()
  }
}

createServer((req, res) => {
  const json = (status, body) => { res.writeHead(status, { 'Content-Type': 'application/json' }); res.end(JSON.stringify(body)) }
  if (req.url === '/v1/models') return json(200, { object: 'list', data: [{ id: name, object: 'model', max_model_len: 256 }] })
  if (req.url !== '/v1/chat/completions' || req.method !== 'POST') return json(404, { error: { message: 'not here' } })
  let body = ''
  req.on('data', (b) => { body += b })
  req.on('end', () => {
    turn = turn.then(() => chat(JSON.parse(body), res)).catch((e) => { console.error(e); res.headersSent ? res.destroy() : json(500, { error: { message: String(e) } }) })
  })
}).listen(Number(port), '127.0.0.1')
