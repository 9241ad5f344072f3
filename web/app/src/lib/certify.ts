// What can be said of a picture and its receipt: first without any network, then by the ledger's
// node.

import { equal, hex, readBase64, sha256 } from './bytes.ts'
import type { Gateway, LedgerModel } from './gateway.ts'
import { number, t } from './i18n.svelte.ts'
import { check, ready } from './proof.ts'
import { checkPixels } from './session.ts'
import { examine, type File, openFile, short } from './words.ts'

export interface Line { ok: boolean | undefined; text: string } // undefined: not good, not bad

export interface Certificate { file: File; lines: Line[] }

/** Runs every check that needs no network. It throws what the receipt fails with. */
export async function offline(receipt: Uint8Array, picture?: Uint8Array): Promise<Certificate> {
  const file = await openFile(receipt)
  const r = file.receipt
  const lines: Line[] = [
    { ok: true, text: t('check.task', { key: short(file.payer) }) },
    { ok: true, text: t('check.receipt', { miner: short(r.miner) }) },
    { ok: true, text: t('check.binds') },
  ]
  if (picture) {
    if (!equal(await sha256(picture), r.output)) throw new Error(t('check.other'))
    lines.push({ ok: true, text: t('check.file', { size: number(r.size) }) })
    if (r.media === 'image/png') {
      await checkPixels(picture, r)
      lines.push({ ok: true, text: t('check.pixels') })
    }
  }
  return { file, lines }
}

/** Checks a picture's proof; undefined: it has none, or it cannot be checked here. */
export async function proven(f: File, receipt: Uint8Array, picture: Uint8Array, proof: Uint8Array | undefined, prompt: string): Promise<Line | undefined> {
  if (!proof || !f.receipt.proof || !(await ready(hex(f.receipt.model)))) return undefined
  const found = check(picture, receipt, proof, prompt)
  return found.ok ? { ok: true, text: t('check.proof', { size: number(Math.round(proof.length / 1000)), ms: number(Math.round(found.ms)) }) } : { ok: false, text: found.error ?? '' }
}

export interface Online { lines: Line[]; stake?: number; model?: LedgerModel; session: string }

/** Compares a receipt with what the ledger's node and the coordinator say. */
export async function online(g: Gateway, f: File, address: string | undefined): Promise<Online> {
  const r = f.receipt
  const [actor, session, models, checks] = await Promise.all([
    g.actor(hex(r.miner)).catch(() => undefined), g.session(r.session), g.models(), g.checks(hex(r.task)).catch(() => undefined),
  ])
  const lines: Line[] = []
  const active = actor?.role === 'miner' && actor.retired_at === 0
  lines.push({ ok: active || undefined, text: t(active ? 'check.miner' : 'check.minerGone') })
  lines.push({ ok: session.session_key === hex(f.payer) && (!address || session.payer === address), text: t(address ? 'check.session' : 'check.sessionOther', { payer: session.payer.slice(0, 14) + '…' }) })
  for (const c of checks?.checks ?? []) {
    const { verdict: v, by } = await examine(f, readBase64(c.verdict), readBase64(c.rerun))
    const how = { result: v.result, method: v.method, miner: short(by), height: v.height }
    lines.push({ ok: v.result === 'valid' ? true : v.result === 'invalid' ? false : undefined, text: v.height ? t('check.drawn', how) : t('check.asked', how) })
  }
  const audited = checks && checks.state !== '' && checks.state !== 'passed over'
  lines.push({ ok: undefined, text: audited ? t('check.audit', { state: checks.reason ? `${checks.state}, ${checks.reason}` : checks.state }) : t('check.auditNone') })
  return { lines, stake: actor?.stake, model: models.find((m) => m.digest === hex(r.model)), session: session.state }
}
