// The gateway's HTTP, as client/http.go and client/frames.go define it, and the ledger as the
// page's server shows it.

import { base64, type Bytes, concat, readHex, uint32 } from './bytes.ts'
import { decode, encode, type Item } from './cbor.ts'
import type { Account } from './ledger.ts'

export interface Model {
  digest: string; name: string; kind: string; engine: string; exact: boolean; sizes: string[] | null; min_steps: number; max_steps: number; steps: number
  meter?: string; unit_price: number; miners: number
}
export interface Info {
  chain_id: string; coordinator: string; owner: string; fee: number; models: Model[] | null; miners: number; version: string; min_deposit: number; expiry_blocks: number
}
export interface Candidate { miner: string; hpke_key: string; price: number }
export interface Quote { model: string; max_price: number; candidates: Candidate[] | null; expires: number }
export interface QuoteRequest { kind: string; model: string; width?: number; height?: number; steps?: number; units?: number }
export interface Progress { state: string; attempt: number; miner: Uint8Array; step: number; steps: number; note: string; part?: Uint8Array }
export interface Delivery { task: Uint8Array; receipt: Uint8Array; sealed: Uint8Array }
export interface Submission { task: Uint8Array; input: Uint8Array; voucher?: Uint8Array }
export interface Payment { to: string; amount: number; reason: string }
export interface Tx { hash: string; height: number; gas?: number; payments?: Payment[] }
export interface Settled { session: number; root: string; tx: Tx }
export interface Actor {
  role: string; node_key: string; owner: string; hpke_key?: string; offers?: { model: string; unit_price: number }[]; bond: number; stake: number; fee: number
  url?: string; retired_at: number; commission: number; jailed_until: number; away_from: number; away_until: number
}
export interface LedgerModel { digest: string; owner: string; name: string; kind: string; engine: string; licence: string; unit_price: number; royalty: number }
export interface Session { id: number; payer: string; coordinator: string; deposit: number; session_key: string; opened: number; expiry: number; state: string }
export interface TaskRecord { digest: string; session: number; state: string; reason?: string; price: number }
export interface Checked { state: string; height: number; share: number; reason?: string; checks?: { verdict: string; rerun: string }[] }
export interface Head { chain_id: string; height: number; block_ms: number; faucet: number; faucet_hours: number }
export interface Person extends Account { address: string; balance: number; known: boolean }
export interface Stake { node_key: string; role: string; amount: number; rewards: number }

export interface House { seated: boolean; total: number; voted: number; counted: number; options: Record<string, number> }
export interface Outcome { height: number; stake: House; work: House; turnout: number; shares: Record<string, number>; cap: number } // shares and turnout: parts of 10^12
export interface Proposal { id: number; title: string; summary: string; proposer: string; status: string; failure?: string; expedited: boolean; messages: unknown[] | null; deposit: number; until: string; outcome?: Outcome }
export interface Power { stake: number; total_stake: number; work: number; total_work: number }
export interface Slash { id: number; actor: string; cause: string; method?: string; evidence: string[] | null; amount: number; at: number; ends_at: number; state: string; appealed: boolean; restitution: number }
export interface Standing extends Actor { registered_at: number; earned: number; held: number; missed: number; pool: number; unaudited: number }
export interface Backer { delegator: string; value: number }
export interface LedgerRecord { opened: number; settled: number; expired: number; paid: number; unpaid: number; slashes: number }
export interface Listed { hash: string; height: number; time: string; messages: string[]; refused: boolean }
export interface Block { height: number; time: string; hash: string; proposer: string; txs: { hash: string; messages: string[]; refused: boolean; gas: number }[] }
export interface Point { time: number; height: number; tasks: number; paid: number; escrowed: number; stake: number; prices: Record<string, number>; judged: number; wrong: number }

export interface Movement { hash: string; height: number; time: string; messages: string[]; refused: boolean; change: number }
export interface Name { name: string; owner: string; expires: number }
export interface Shown { task: string; payer: string; prompt: string; media: string; at: number; receipt: string; picture?: string; proof?: string } // base64

/** What a gateway refuses, with what to do about it. */
export class Refused extends Error {
  code: string
  hint: string
  between: boolean // no gateway has answered, but something on the way to it
  constructor(code: string, message: string, hint = '', between = false) {
    super(message)
    this.code = code
    this.hint = hint
    this.between = between
  }
  get retryable(): boolean {
    return this.code === 'unavailable' || this.code === 'internal'
  }
}

const MAX_ANSWER = 72 << 20

export class Gateway {
  private base: string
  constructor(base = '') {
    this.base = base
  }

  info = (): Promise<Info> => this.get('/essaim/v1/info')
  task = (digest: string): Promise<TaskRecord> => this.get(`/essaim/v1/tasks/${digest}`)
  checks = (digest: string): Promise<Checked> => this.get(`/essaim/v1/tasks/${digest}/checks`)
  acknowledge = (voucher: Uint8Array): Promise<unknown> => this.post('/essaim/v1/sessions/acknowledge', { voucher: base64(voucher) })
  close = (signed: Uint8Array): Promise<Settled> => this.post('/essaim/v1/sessions/close', { close: base64(signed) })

  head = (): Promise<Head> => this.get('/essaim/v1/ledger/head')
  account = (address: string): Promise<Person> => this.get(`/essaim/v1/ledger/accounts/${address}`)
  stakes = async (address: string): Promise<Stake[]> => (await this.get<Stake[] | null>(`/essaim/v1/ledger/accounts/${address}/stakes`)) ?? []
  actor = (key: string): Promise<Actor> => this.get(`/essaim/v1/ledger/actors/${key}`)
  actors = async (): Promise<Actor[]> => (await this.get<Actor[] | null>('/essaim/v1/ledger/actors')) ?? []
  models = async (): Promise<LedgerModel[]> => (await this.get<LedgerModel[] | null>('/essaim/v1/ledger/models')) ?? []
  session = (id: number): Promise<Session> => this.get(`/essaim/v1/ledger/sessions/${id}`)
  proposals = async (): Promise<Proposal[]> => (await this.get<Proposal[] | null>('/essaim/v1/ledger/proposals')) ?? []
  power = (address: string): Promise<Power> => this.get(`/essaim/v1/ledger/power/${address}`)
  slashes = async (): Promise<Slash[]> => (await this.get<Slash[] | null>('/essaim/v1/ledger/slashes')) ?? []
  node = (key: string): Promise<Standing> => this.get(`/essaim/v1/ledger/nodes/${key}`)
  record = (key: string): Promise<LedgerRecord> => this.get(`/essaim/v1/ledger/nodes/${key}/record`)
  backers = async (key: string): Promise<Backer[]> => (await this.get<Backer[] | null>(`/essaim/v1/ledger/nodes/${key}/backers`)) ?? []
  block = (height: number): Promise<Block> => this.get(`/essaim/v1/ledger/blocks/${height}`)
  settlement = (session: number): Promise<unknown> => this.get(`/essaim/v1/ledger/settlements/${session}`)
  transaction = (hash: string): Promise<unknown> => this.get(`/essaim/v1/ledger/transactions/${hash}`)
  transactions = (): Promise<Listed[]> => this.get('/essaim/v1/ledger/transactions')
  points = (): Promise<Point[]> => this.get('/essaim/v1/ledger/points')
  name = (name: string): Promise<Name> => this.get(`/essaim/v1/ledger/names/${encodeURIComponent(name)}`)
  nameFee = (name: string): Promise<{ fee: number; like: string }> => this.get(`/essaim/v1/ledger/names/${encodeURIComponent(name)}/fee`)
  names = async (owner: string): Promise<Name[]> => (await this.get<Name[] | null>(`/essaim/v1/ledger/owned/${owner}`)) ?? []
  movements = async (address: string): Promise<Movement[]> => (await this.get<Movement[] | null>(`/essaim/v1/ledger/movements/${address}`)) ?? []
  gallery = async (): Promise<Shown[]> => (await this.get<Shown[] | null>('/essaim/v1/gallery')) ?? []
  shown = (task: string): Promise<Shown> => this.get(`/essaim/v1/gallery/${task}`)
  show = (wish: Partial<Shown> & { public: boolean; signature: string }): Promise<unknown> => this.post('/essaim/v1/gallery', wish)
  broadcast = (tx: Uint8Array): Promise<{ tx: Tx; answer: string }> => this.post('/essaim/v1/ledger/transactions', { tx: base64(tx) })
  faucet = (address: string): Promise<{ amount: number; tx: Tx }> => this.post('/essaim/v1/faucet', { address })

  /** The price of a task. Where only what is between here and the gateway answers, a balancer's next answer may be another gateway's: nothing is promised yet, so it is asked again for some seconds. */
  async quote(q: QuoteRequest): Promise<Quote> {
    for (let pause = 200; ; pause *= 2) {
      try {
        return await this.post<Quote>('/essaim/v1/quote', q)
      } catch (e) {
        if (!(e instanceof Refused) || !e.between || pause > 3200) throw e
      }
      await new Promise((ok) => setTimeout(ok, pause))
    }
  }

  /** Hands in one task and returns its delivery; told is called with progress. */
  async submit(s: Submission, told: (p: Progress) => void, stop?: AbortSignal): Promise<Delivery> {
    const m = new Map<number, Item>([[1, s.task], [2, s.input]])
    if (s.voucher) m.set(3, s.voucher)
    const body = encode(m)
    const answer = await this.ask('/essaim/v1/tasks', {
      method: 'POST', headers: { 'Content-Type': 'application/vnd.essaim.frames' }, body: concat(uint32(body.length), body), signal: stop ?? null,
    })
    for await (const frame of frames(answer)) {
      const e = decode(frame)
      if (!(e instanceof Map)) throw new Refused('internal', 'the gateway answers with something else than an event')
      const failed = e.get(4)
      if (failed) {
        const f = textMap(failed)
        throw new Refused(String(f.get('code') ?? 'internal'), String(f.get('message') ?? ''), String(f.get('hint') ?? ''))
      }
      const done = e.get(3)
      if (done) return delivery(textMap(done))
      const p = e.get(2)
      if (p) told(progress(textMap(p)))
    }
    throw lost()
  }

  private get<T>(path: string): Promise<T> {
    return this.ask(path).then((r) => r.json() as Promise<T>)
  }

  private post<T>(path: string, body: unknown): Promise<T> {
    return this.ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).then((r) => r.json() as Promise<T>)
  }

  private async ask(path: string, init?: RequestInit): Promise<Response> {
    let r: Response
    try {
      r = await fetch(this.base + path, init)
    } catch (e) {
      if (e instanceof DOMException && e.name === 'AbortError') throw e
      throw lost()
    }
    if (r.ok) return r
    const body = (await r.json().catch(() => ({}))) as { error?: { code?: string; message?: string; hint?: string } }
    if (body.error?.code) throw new Refused(body.error.code, body.error.message ?? '', body.error.hint)
    throw new Refused(r.status >= 500 || r.status === 429 ? 'unavailable' : 'internal', `the gateway answers ${r.status}`, '', r.status >= 502 && r.status <= 504)
  }
}

const lost = () => new Refused('unavailable', 'the gateway cannot be reached', 'check that it runs and that you are online; what was handed in goes on and is not charged twice')

function textMap(v: Item): Map<number | string, Item> {
  if (v instanceof Map) return v
  throw new Refused('internal', 'the gateway answers in another shape')
}

function delivery(m: Map<number | string, Item>): Delivery {
  const bytes = (k: string): Uint8Array => {
    const v = m.get(k)
    if (!(v instanceof Uint8Array)) throw new Refused('internal', `a delivery without ${k}`)
    return v
  }
  const task = m.get('task')
  return { task: typeof task === 'string' ? readHex(task, 32) : bytes('task'), receipt: bytes('receipt'), sealed: bytes('sealed') }
}

function progress(m: Map<number | string, Item>): Progress {
  const n = (k: string) => Number(m.get(k) ?? 0)
  const miner = m.get('miner')
  const part = m.get('part')
  return {
    ...(part instanceof Uint8Array && { part }),
    state: String(m.get('state') ?? ''), attempt: n('attempt'), miner: miner instanceof Uint8Array ? miner : new Uint8Array(), step: n('step'), steps: n('steps'), note: String(m.get('note') ?? ''),
  }
}

/** The frames of a stream: 4 bytes of length, big-endian, and as many of CBOR. */
async function* frames(r: Response): AsyncGenerator<Uint8Array> {
  if (!r.body) throw lost()
  const reader = r.body.getReader()
  let kept: Bytes = new Uint8Array()
  try {
    for (;;) {
      while (kept.length >= 4) {
        const n = new DataView(kept.buffer, kept.byteOffset).getUint32(0)
        if (n > MAX_ANSWER) throw new Refused('internal', 'the gateway answers with too much')
        if (kept.length < 4 + n) break
        yield kept.subarray(4, 4 + n)
        kept = kept.slice(4 + n)
      }
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }))
      if (done) return
      kept = concat(kept, value!)
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
