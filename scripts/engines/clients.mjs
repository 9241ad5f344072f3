// Two clients of npm, unmodified, ask a gateway: OpenAI's for a chat and a picture,
// Ollama's for a chat and for embeddings.
//   node clients.mjs GATEWAY API-KEY CHAT-MODEL PICTURE-MODEL
import { createHash } from 'node:crypto'
import OpenAI from 'openai'
import { Ollama } from 'ollama'

const [gateway, apiKey, chatModel, pictureModel] = process.argv.slice(2)
const openai = new OpenAI({ baseURL: gateway + '/v1', apiKey, maxRetries: 0 })
const ollama = new Ollama({ host: gateway, headers: { Authorization: 'Bearer ' + apiKey } })
const say = (who, what) => console.log(who.padEnd(14), what)

const stream = await openai.chat.completions.create({
  model: chatModel, stream: true, stream_options: { include_usage: true }, max_tokens: 12, seed: 1,
  messages: [{ role: 'user', content: 'the cat is red' }],
})
let text = '', pieces = 0, usage
for await (const chunk of stream) {
  const piece = chunk.choices[0]?.delta?.content
  if (piece) { text += piece; pieces++ }
  usage = chunk.usage ?? usage
}
say('openai (npm)', `chat in ${pieces} pieces, ${usage.prompt_tokens}+${usage.completion_tokens} tokens: ${JSON.stringify(text.slice(0, 32))}`)

const { data: image, response } = await openai.images.generate({ model: pictureModel, prompt: 'a red apple', response_format: 'b64_json', seed: 7 }).withResponse()
const png = Buffer.from(image.data[0].b64_json, 'base64')
say('openai (npm)', `picture of ${png.length} bytes, sha256 ${createHash('sha256').update(png).digest('hex').slice(0, 16)}, ${response.headers.get('x-essaim-cost')} uaim`)
say('', `receipt ${image.data[0].essaim.receipt}`)

const chat = await ollama.chat({ model: chatModel, messages: [{ role: 'user', content: 'hello world' }], options: { num_predict: 8, seed: 2 } })
say('ollama (npm)', `chat of ${chat.eval_count} tokens: ${JSON.stringify(chat.message.content.slice(0, 32))}`)
say('', `receipt ${chat.essaim.receipt}`)
const { models } = await ollama.list()
say('ollama (npm)', `lists ${models.map((m) => m.name).join(', ')}`)
