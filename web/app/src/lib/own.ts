// What the owner of this machine's miners may ask them (web/own.go).

import { Refused, type Standing } from './gateway.ts'

export interface Job { task: string; model: string; price: number; step: number; steps: number; since: string }
export interface Miner {
  miner: string; dir: string; state: 'serving' | 'dialling' | 'maintenance' | 'stopping'; idle?: string; since: string; connected: number; models: number; capacity: number; jobs: Job[]
  acked: number; refused: number; failed: number; unpaid: number; earned: number
}
export interface Sums { receipts: number; settled: number; waiting: number; acknowledged: number; unacknowledged: number; lapsed: number; missing: number; refused: number }
export interface Part extends Sums { name: string }
export interface Receipt { at: string; session: number; coordinator: string; model: string; price: number; state: 'settled' | 'waiting' | 'acknowledged' | 'lapsed' | 'missing' | 'unacknowledged' | 'refused' }
export interface Books {
  earnings: { total: Sums; due: { session: number; amount: number; until: number }[]; models: Part[]; days: Part[]; recent: Receipt[]; open: Receipt[] }
  standing: Standing | null; limit: number; names: { digest: string; name: string }[] | null; settings: string
}

const PATH = '/essaim/v1/own'

async function ask<T>(path: string, method = 'GET'): Promise<T> {
  const r = await fetch(PATH + path, { method }).catch(() => undefined)
  if (!r) throw new Refused('unavailable', 'the miner does not answer', 'it may have been stopped')
  const body = await r.json()
  if (!r.ok) throw new Refused(body.error?.code ?? 'internal', body.error?.message ?? `it answers ${r.status}`, body.error?.hint)
  return body as T
}

export const miners = async (): Promise<Miner[]> => (await ask<Miner[] | null>('')) ?? []
export const books = (miner: string): Promise<Books> => ask(`/${miner}`)
export const toggle = (miner: string): Promise<unknown> => ask(`/${miner}/maintenance`, 'POST')

export const lost = (s: Sums): number => s.lapsed + s.missing + s.refused
