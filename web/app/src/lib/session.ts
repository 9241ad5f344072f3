// A session: money in escrow on the ledger and the key that spends it (client/session.go and
// client/draw.go are the same in Go). Nothing that comes back is believed: receipt, price,
// sealed bytes, picture and pixels are compared before a picture is shown or its receipt
// acknowledged.

import { ed25519 } from '@noble/curves/ed25519.js'
import { type Signer, transact } from './account.ts'
import { type Bytes, equal, hex, random, readBase64, readHex, sha256 } from './bytes.ts'
import { type Delivery, type Gateway, type Info, type Model, type Progress, type Quote, Refused, type Settled } from './gateway.ts'
import { openSession, readNumber } from './ledger.ts'
import { check } from './proof.ts'
import { generateKey, type KeyPair, open as openEnvelope, Parts, seal } from './seal.ts'
import { forgetSession, type KeptSession, loadSession, type Picture, savePicture, saveSession } from './store.ts'
import {
  binds, encodeFile, encodeInput, mostUnits, none, openReceipt, type Output, partsInfo, pixelsDigest, previewInfo, readOutput, type Receipt, short, signClose, signTask, signVoucher, type Task, taskDigest,
} from './words.ts'

export interface Ask { model: Model; prompt: string; seed: number; width: number; height: number; proof: boolean }

/** One message of a conversation, and what continues one (engine/chat.go). */
export interface Message { role: 'user' | 'assistant'; content: string }
export interface Answer { content: string; finish: string; read: number; written: number }

/** What one task asks for, and how its result is looked at before it is paid for. */
interface Order<T> {
  kind: string; model: Model; prompt: string; seed: number; width: number; height: number; steps: number; units: number; verify: string; previews: number
  heard: (p: Progress, task: Uint8Array) => void
  judge: (done: { task: Uint8Array; file: Uint8Array; receipt: Receipt; out: Output }) => Promise<T>
}

const lie = (what: string) => new Refused('refused', what, 'this is not paid: the coordinator or the miner is at fault')

const PREVIEWS = 3 // of a picture, at the most
const DRAW_TIME = 5 * 60_000
const MARGIN = 50 // blocks that a session must still be open
const ROUNDS = 2 // times the coordinator's shortest session

export class SessionBook {
  private kept: KeptSession | undefined
  private g: Gateway
  private by: Signer
  private reply: KeyPair | undefined

  constructor(g: Gateway, by: Signer) {
    this.g = g
    this.by = by
  }

  /** What is open now, if anything; what the ledger says is over is forgotten. */
  async current(info: Info): Promise<KeptSession | undefined> {
    if (!this.kept) {
      const stored = await loadSession(this.by.address, info.chain_id)
      this.kept ??= stored // unless one was opened meanwhile
    }
    const s = this.kept
    if (!s || s.coordinator !== info.coordinator) return undefined
    const now = await this.g.session(s.id).catch((e: unknown) => {
      if (e instanceof Refused && e.code === 'not_found') return undefined
      throw e
    })
    const mine = now?.session_key === hex(ed25519.getPublicKey(s.seed))
    if (now?.state === 'open' && mine) {
      s.deposit = now.deposit
      return s
    }
    if (this.kept === s) { // else somebody else has asked meanwhile, and gone on
      this.kept = undefined
      await forgetSession(this.by.address, info.chain_id)
    }
    return this.kept
  }

  left(s: KeptSession): number {
    const rest = s.deposit - s.spent
    return Math.max(0, s.limit ? Math.min(rest, s.limit - s.spent - s.doubtful) : rest)
  }

  /** A session that can pay a price: the one that is open, or a new one with this deposit. */
  async ensure(info: Info, price: number, deposit: number, agree?: Parameters<typeof transact>[3]): Promise<KeptSession> {
    const head = await this.g.head()
    const s = await this.current(info)
    if (s && this.left(s) >= price && s.expiry - head.height > MARGIN) return s
    if (s) await this.close(info).catch(() => undefined) // it settles by itself when it is idle
    const coordinator = await this.g.actor(info.coordinator)
    if (head.chain_id !== info.chain_id || coordinator.role !== 'coordinator' || coordinator.retired_at !== 0) throw new Refused('refused', 'the coordinator is not an active one of this ledger')
    const seed = random(32)
    const expiry = head.height + ROUNDS * Math.max(info.expiry_blocks, 1)
    const sum = Math.max(deposit, info.min_deposit, price)
    const { tx, answer } = await transact(this.g, this.by, openSession(this.by.address, info.coordinator, sum, hex(ed25519.getPublicKey(seed)), expiry), agree)
    this.kept = { id: readNumber(answer, 1), chain: info.chain_id, coordinator: info.coordinator, seed, deposit: sum, expiry, opened: tx.hash, seq: 0, spent: 0, accepted: 0, doubtful: 0, limit: 0 }
    await this.save()
    return this.kept
  }

  private save = (): Promise<void> => saveSession(this.by.address, this.kept!)

  private voucher(): Bytes | undefined {
    const s = this.kept!
    return s.spent ? signVoucher({ chain: s.chain, session: s.id, coordinator: readHex(s.coordinator, 32), amount: s.spent, count: s.accepted }, s.seed) : undefined
  }

  /** Draws a picture in the open session. The price is at most the quote's. preview is shown what no receipt speaks of. */
  draw(ask: Ask, quote: Quote, told: (p: Progress) => void, preview: (file: Uint8Array) => void, stop?: AbortSignal): Promise<Picture> {
    const heard = (p: Progress, task: Uint8Array) => {
      if (!p.part || p.step < 1) return
      try {
        preview(new Parts(this.replyKey(), previewInfo(task, p.attempt, p.step)).open(p.part))
      } catch {
        // passed over: the picture itself is what is checked
      }
    }
    return this.run({
      ...ask, kind: 'image', steps: 0, units: 0, verify: ask.proof ? 'proof' : '', previews: PREVIEWS, heard,
      judge: async ({ task, file, receipt: r, out }) => {
        await checkPixels(out.data, r)
        if (ask.proof) {
          if (!out.proof || !r.proof || !equal(await sha256(out.proof), r.proof)) throw lie('the proof is not the one that the receipt names')
          const found = check(out.data, file, out.proof, ask.prompt)
          if (!found.ok) throw lie(`the proof does not hold: ${found.error}`)
        }
        const picture: Picture = {
          task: hex(task), chain: r.chain, prompt: ask.prompt, model: ask.model.digest, modelName: ask.model.name, seed: String(ask.seed), made: Date.now(),
          media: out.media, data: out.data as Bytes, file, ...(out.proof && { proof: out.proof as Bytes }), warnings: out.warnings.slice(0, 16).map((w) => w.slice(0, 300)), price: r.price, session: r.session,
        }
        await savePicture(picture)
        return picture
      },
    }, quote, told, stop)
  }

  /** Continues a conversation. said is called with what is written so far, while it is written. */
  chat(model: Model, talk: Message[], quote: Quote, said: (text: string) => void, told: (p: Progress) => void, stop?: AbortSignal): Promise<{ answer: Answer; file: Uint8Array; receipt: Receipt }> {
    let reader: Parts | undefined
    let attempt = -1
    let written = ''
    const heard = (p: Progress, task: Uint8Array) => {
      if (!p.part) return
      if (p.attempt !== attempt) {
        attempt = p.attempt
        reader = new Parts(this.replyKey(), partsInfo(task, attempt))
        written = ''
      }
      try {
        if (reader) said((written += new TextDecoder().decode(reader.open(p.part))))
      } catch {
        reader = undefined // a part was missed: the whole comes at the end
      }
    }
    return this.run({
      ...chatOrder(model, talk), seed: crypto.getRandomValues(new Uint32Array(1))[0]!, width: 0, height: 0, verify: '', previews: 0, heard,
      judge: async ({ file, receipt: r, out }) => {
        if (out.media !== 'application/vnd.essaim.chat+json') throw lie('the result is no answer')
        const answer = JSON.parse(new TextDecoder().decode(out.data)) as Answer
        if (typeof answer.content !== 'string' || !['stop', 'length'].includes(answer.finish) || answer.written !== r.steps) throw lie('the answer is not what the receipt says')
        return { answer, file, receipt: r }
      },
    }, quote, told, stop)
  }

  private replyKey = (): KeyPair => (this.reply ??= generateKey())

  /** Hands in one task until it is delivered, looks at the result and counts it. */
  private async run<T>(o: Order<T>, quote: Quote, told: (p: Progress) => void, stop?: AbortSignal): Promise<T> {
    const s = this.kept
    if (!s) throw new Error('no session is open')
    const input = encodeInput(o.prompt, random(16), this.replyKey().public, o.previews)
    const task: Task = {
      version: 1, chain: s.chain, session: s.id, seq: ++s.seq, kind: o.kind, model: readHex(o.model.digest, 32), input: await sha256(input), seed: o.seed,
      width: o.width, height: o.height, steps: o.steps, maxPrice: quote.max_price, verify: o.verify, deadline: Date.now() + DRAW_TIME, maxUnits: o.units, plan: none(),
    }
    s.doubtful += quote.max_price // until the answer has come
    await this.save()
    const signed = signTask(task, s.seed)
    const digest = await taskDigest(task)
    const offered = new Set<string>()
    const hear = (p: Progress) => {
      o.heard(p, digest)
      told(p)
    }
    for (let pause = 200, again = false; ; pause = Math.min(2 * pause, 5000), again = true) {
      try {
        if (again) quote = await this.g.quote({ kind: o.kind, model: o.model.digest, width: o.width, height: o.height, steps: o.steps, units: o.units })
        const keys = await this.vet(quote, offered)
        const delivery = await this.g.submit({ task: signed, input: seal(input, task.input, keys), voucher: this.voucher() }, hear, stop)
        const result = await this.accept(o, task, digest, signed, delivery, offered)
        await this.g.acknowledge(this.voucher()!).catch(() => undefined) // the next voucher says it all
        return result
      } catch (e) {
        if (!(e instanceof Refused) || !e.retryable || stop?.aborted || Date.now() + pause > task.deadline) throw e
        told({ state: 'submitted', attempt: 0, miner: new Uint8Array(), step: 0, steps: 0, note: e.message })
      }
      await new Promise((ok) => setTimeout(ok, pause))
    }
  }

  /** The sealing keys of the quote's miners, each compared with the ledger's. */
  private async vet(q: Quote, offered: Set<string>): Promise<Uint8Array[]> {
    const list = (q.candidates ?? []).filter((c) => c.price <= q.max_price).slice(0, 32)
    if (!list.length) throw new Refused('unavailable', 'no miner offers this model now', 'try later, or choose another model')
    return Promise.all(list.map(async (c) => {
      const a = await this.g.actor(c.miner)
      if (a.role !== 'miner' || a.retired_at !== 0 || !a.hpke_key || a.hpke_key !== c.hpke_key) throw new Refused('refused', `the coordinator offers miner ${c.miner.slice(0, 8)} with a key that is not on the ledger`, 'use another coordinator: nothing was sent to this one')
      offered.add(c.miner)
      return readBase64(c.hpke_key)
    }))
  }

  private async accept<T>(o: Order<T>, task: Task, digest: Uint8Array, signed: Uint8Array, d: Delivery, offered: Set<string>): Promise<T> {
    const s = this.kept!
    const r = openReceipt(d.receipt)
    await binds(r, task)
    if (!equal(d.task, digest)) throw lie('the delivery is for another task')
    if (!offered.has(hex(r.miner))) throw lie('the result is by a miner that was never offered')
    if (hex(r.coordinator) !== s.coordinator) throw lie('the receipt names another coordinator')
    if (!equal(await sha256(d.sealed), r.sealed)) throw lie('the sealed result is not the one that the receipt names')
    const out = readOutput(openEnvelope(d.sealed, digest, this.replyKey()))
    if (!equal(await sha256(out.data), r.output) || out.data.length !== r.size || out.media !== r.media) throw lie('the result is not the one that the receipt names')
    const result = await o.judge({ task: digest, file: encodeFile(signed, d.receipt), receipt: r, out })
    s.doubtful -= task.maxPrice
    s.spent += r.price
    s.accepted++
    await this.save()
    return result
  }

  /** Settles the session: what was not spent comes back. */
  async close(info: Info): Promise<Settled> {
    const s = await this.current(info)
    if (!s) throw new Error('no session is open')
    const settled = await this.g.close(signClose(s.chain, s.id, this.voucher(), s.seed))
    this.kept = undefined
    await forgetSession(this.by.address, s.chain)
    const claimed = Number(new DataView(readHex(settled.root, 48).buffer).getBigUint64(32))
    if (claimed > s.spent + s.doubtful) throw new Refused('refused', `the settlement claims more than was delivered`, 'keep the receipts: they prove what was')
    return settled
  }
}

/** What a conversation is as a task: its words as agreed, the most that may be written, and the most units. */
export function chatOrder(model: Model, talk: Message[]): { kind: string; model: Model; prompt: string; steps: number; units: number } {
  const prompt = JSON.stringify({ messages: talk })
  return { kind: 'text.chat', model, prompt, steps: model.steps, units: mostUnits(model.meter ?? '', new TextEncoder().encode(prompt).length, model.steps) }
}

/** Compares the pixels that the browser shows with those that the miner has signed. */
export async function checkPixels(data: Uint8Array, r: Receipt): Promise<void> {
  if (r.media !== 'image/png') return // decoders of JPEG may differ in the last bit: the file's digest counts
  const bitmap = await createImageBitmap(new Blob([data as Bytes], { type: r.media }), { colorSpaceConversion: 'none', premultiplyAlpha: 'none' })
  if (bitmap.width !== r.width || bitmap.height !== r.height) throw new Refused('refused', `the picture is ${bitmap.width}x${bitmap.height}, the receipt says ${r.width}x${r.height}`)
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  context.drawImage(bitmap, 0, 0)
  const rgba = context.getImageData(0, 0, bitmap.width, bitmap.height).data
  if (!equal(await pixelsDigest(rgba), r.pixels)) throw new Refused('refused', `the pixels are not those that miner ${short(r.miner)} has signed`)
}
