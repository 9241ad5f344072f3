// Pictures that their payers show to everybody, on the coordinator's own machine (web/gallery.go).

import { app } from './app.svelte.ts'
import { base64, hex, readBase64 } from './bytes.ts'
import type { Picture } from './store.ts'
import { openFile } from './words.ts'

/** What is signed, for a person to read. */
const text = (chain: string, task: string, prompt: string, open: boolean, at: number): string =>
  `${open ? 'Show my picture to everybody' : 'Show my picture no more'}\n\nNetwork: ${chain}\nPicture: ${task}\nPrompt: ${prompt}\nTime: ${at}`

/** Shows a picture, or shows it no more; false: the person has refused to sign. */
export async function wish(p: Picture, open: boolean, prompt: string): Promise<boolean> {
  const at = Date.now()
  const signature = await app.signText(text(p.chain, p.task, prompt, open, at))
  if (!signature) return false
  const whole = open ? { picture: base64(p.data), ...(p.proof && { proof: base64(p.proof) }) } : {}
  await app.gateway.show({ receipt: base64(p.file), prompt, at, public: open, signature: base64(signature), ...whole })
  return true
}

/** A picture of the gallery as those that this browser keeps; nothing of it is believed before it is checked. */
export async function fetched(task: string): Promise<Picture> {
  const s = await app.gateway.shown(task)
  const file = readBase64(s.receipt)
  const r = (await openFile(file)).receipt
  return {
    task: hex(r.task), chain: r.chain, prompt: s.prompt, model: hex(r.model), modelName: '', seed: String(r.seed), made: s.at, media: r.media,
    data: readBase64(s.picture ?? ''), file, ...(s.proof && { proof: readBase64(s.proof) }), warnings: [], price: r.price, session: r.session,
  }
}
