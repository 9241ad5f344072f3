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
import { generateKey, type KeyPair, open as openEnvelope, seal } from './seal.ts'
import { forgetSession, type KeptSession, loadSession, type Picture, savePicture, saveSession } from './store.ts'
import {
  binds, encodeFile, encodeInput, none, openReceipt, pixelsDigest, readOutput, type Receipt, short, signClose, signTask, signVoucher, type Task, taskDigest,
} from './words.ts'

export interface Ask { model: Model; prompt: string; seed: number; width: number; height: number; proof: boolean }

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
    this.kept ??= await loadSession(this.by.address, info.chain_id)
    if (!this.kept || this.kept.coordinator !== info.coordinator) return undefined
    const now = await this.g.session(this.kept.id).catch((e: unknown) => {
      if (e instanceof Refused && e.code === 'not_found') return undefined
      throw e
    })
    const mine = now?.session_key === hex(ed25519.getPublicKey(this.kept.seed))
    if (now?.state === 'open' && mine) {
      this.kept.deposit = now.deposit
      return this.kept
    }
    await forgetSession(this.by.address, info.chain_id)
    this.kept = undefined
    return undefined
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

  /** Draws a picture in the open session. The price is at most the quote's. */
  async draw(ask: Ask, quote: Quote, told: (p: Progress) => void, stop?: AbortSignal): Promise<Picture> {
    const s = this.kept
    if (!s) throw new Error('no session is open')
    this.reply ??= generateKey()
    const input = encodeInput(ask.prompt, random(16), this.reply.public)
    const task: Task = {
      version: 1, chain: s.chain, session: s.id, seq: ++s.seq, kind: 'image', model: readHex(ask.model.digest, 32), input: await sha256(input), seed: ask.seed,
      width: ask.width, height: ask.height, steps: 0, maxPrice: quote.max_price, verify: ask.proof ? 'proof' : '', deadline: Date.now() + DRAW_TIME, maxUnits: 0, plan: none(),
    }
    s.doubtful += quote.max_price // until the answer has come
    await this.save()
    const signed = signTask(task, s.seed)
    const digest = await taskDigest(task)
    const offered = new Set<string>()
    for (let pause = 200; ; pause = Math.min(2 * pause, 5000)) {
      try {
        const keys = await this.vet(quote, offered)
        const delivery = await this.g.submit({ task: signed, input: seal(input, task.input, keys), voucher: this.voucher() }, told, stop)
        const picture = await this.accept(ask, task, digest, signed, delivery, offered)
        await this.g.acknowledge(this.voucher()!).catch(() => undefined) // the next voucher says it all
        return picture
      } catch (e) {
        if (!(e instanceof Refused) || !e.retryable || stop?.aborted || Date.now() + pause > task.deadline) throw e
        told({ state: 'submitted', attempt: 0, miner: new Uint8Array(), step: 0, steps: 0, note: e.message })
      }
      await new Promise((ok) => setTimeout(ok, pause))
      quote = await this.g.quote({ kind: 'image', model: ask.model.digest, width: ask.width, height: ask.height })
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

  private async accept(ask: Ask, task: Task, digest: Uint8Array, signed: Uint8Array, d: Delivery, offered: Set<string>): Promise<Picture> {
    const s = this.kept!
    const r = openReceipt(d.receipt)
    await binds(r, task)
    const lie = (what: string) => new Refused('refused', what, 'this is not paid: the coordinator or the miner is at fault')
    if (!equal(d.task, digest)) throw lie('the delivery is for another task')
    if (!offered.has(hex(r.miner))) throw lie('the picture is by a miner that was never offered')
    if (hex(r.coordinator) !== s.coordinator) throw lie('the receipt names another coordinator')
    if (!equal(await sha256(d.sealed), r.sealed)) throw lie('the sealed result is not the one that the receipt names')
    const out = readOutput(openEnvelope(d.sealed, digest, this.reply!))
    if (!equal(await sha256(out.data), r.output) || out.data.length !== r.size || out.media !== r.media) throw lie('the picture is not the one that the receipt names')
    await checkPixels(out.data, r)
    const file = encodeFile(signed, d.receipt)
    if (ask.proof) {
      if (!out.proof || !r.proof || !equal(await sha256(out.proof), r.proof)) throw lie('the proof is not the one that the receipt names')
      const found = check(out.data, file, out.proof, ask.prompt)
      if (!found.ok) throw lie(`the proof does not hold: ${found.error}`)
    }
    const picture: Picture = {
      task: hex(digest), chain: s.chain, prompt: ask.prompt, model: ask.model.digest, modelName: ask.model.name, seed: String(ask.seed), made: Date.now(),
      media: out.media, data: out.data as Uint8Array<ArrayBuffer>, file, ...(out.proof && { proof: out.proof as Uint8Array<ArrayBuffer> }), warnings: out.warnings.slice(0, 16).map((w) => w.slice(0, 300)), price: r.price, session: s.id,
    }
    await savePicture(picture)
    s.doubtful -= task.maxPrice
    s.spent += r.price
    s.accepted++
    await this.save()
    return picture
  }

  /** Settles the session: what was not spent comes back. */
  async close(info: Info): Promise<Settled> {
    const s = await this.current(info)
    if (!s) throw new Error('no session is open')
    const settled = await this.g.close(signClose(s.chain, s.id, this.voucher(), s.seed))
    await forgetSession(this.by.address, s.chain)
    this.kept = undefined
    const claimed = Number(new DataView(readHex(settled.root, 48).buffer).getBigUint64(32))
    if (claimed > s.spent + s.doubtful) throw new Refused('refused', `the settlement claims more than was delivered`, 'keep the receipts: they prove what was')
    return settled
  }
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
