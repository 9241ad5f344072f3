// One click: whatever is missing on the way to an answer is done, and told.

import { app } from './app.svelte.ts'
import { type Model, type Progress, type Quote, type QuoteRequest, Refused } from './gateway.ts'
import { coins, t } from './i18n.svelte.ts'
import { ready } from './proof.ts'
import { type Answer, chatOrder, type Message } from './session.ts'
import { type Receipt, short } from './words.ts'
import type { Picture } from './store.ts'

export interface Wish { model: Model; prompt: string; seed: number; width: number; height: number; proof: boolean }

type Told = (place: string, text: string) => void

/** Sees to an account with coins and an open session that pays for what is asked, and returns its price. */
async function prepare(ask: QuoteRequest, told: Told): Promise<Quote> {
  if (!app.kept) {
    told('account', t('step.account'))
    await app.create()
  }
  const info = app.info ?? (await app.gateway.info())
  const quote = await app.gateway.quote(ask)
  if (!app.session || app.left() < quote.max_price) {
    await app.lookAtAccount()
    if ((app.person?.balance ?? 0) < app.deposit && app.head?.faucet && app.left() < quote.max_price) {
      told('faucet', t('step.faucet', { amount: coins(app.head.faucet) }))
      await app.faucet().catch((e: unknown) => {
        if ((app.person?.balance ?? 0) < quote.max_price) throw e
      })
    }
  }
  told('quote', t('step.quote', { price: coins(quote.max_price) }))
  const book = app.needBook()
  if (!(app.session && app.left() >= quote.max_price)) {
    const deposit = Math.min(app.deposit, app.person?.balance ?? 0)
    if (deposit < quote.max_price) throw new Refused('insufficient', `${coins(quote.max_price)} > ${coins(app.person?.balance ?? 0)}`, t('wallet.hold'))
    told('session', t('step.session', { amount: coins(deposit) }))
    await book.ensure(info, quote.max_price, deposit)
  } else {
    await book.ensure(info, quote.max_price, app.deposit)
  }
  return quote
}

/** Draws one picture. told is given each step's words; a step with the same place replaces the one before. */
export async function draw(w: Wish, told: Told, preview: (file: Uint8Array) => void, stop: AbortSignal): Promise<Picture> {
  const quote = await prepare({ kind: 'image', model: w.model.digest, width: w.width, height: w.height }, told)
  const proof = w.proof && (await ready(w.model.digest))
  told('seal', t('step.seal', { n: quote.candidates?.length ?? 0 }))
  const picture = await app.needBook().draw({ ...w, proof }, quote, (p) => told('work', words(p)), preview, stop)
  told('check', t(proof ? 'step.checkProof' : 'step.check'))
  await app.lookAtAccount()
  return picture
}

/** Continues a conversation. said is given what is written so far. */
export async function chat(model: Model, talk: Message[], said: (text: string) => void, told: Told, stop: AbortSignal): Promise<{ answer: Answer; file: Uint8Array; receipt: Receipt }> {
  const o = chatOrder(model, talk)
  const quote = await prepare({ kind: o.kind, model: model.digest, steps: o.steps, units: o.units }, told)
  told('seal', t('step.seal', { n: quote.candidates?.length ?? 0 }))
  const done = await app.needBook().chat(model, talk, quote, said, (p) => told('work', words(p, 'step.write')), stop)
  await app.lookAtAccount()
  return done
}

function words(p: Progress, work: 'step.draw' | 'step.write' = 'step.draw'): string {
  if (p.note) return p.note
  if (p.state !== 'assigned') return t('step.wait')
  if (p.steps > 1 && p.step && work === 'step.draw') return t('step.drawOf', { miner: short(p.miner), step: p.step, steps: p.steps })
  return t(work, { miner: short(p.miner) })
}
