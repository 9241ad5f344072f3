// The signed objects, field by field as the Go program has them (task.go, receipt.go,
// voucher.go, exchange.go), and what an offline check compares.

import { type Bytes, concat, equal, hex, sha256, text, uint32 } from './bytes.ts'
import { decode, encode, type Item } from './cbor.ts'
import { open, sign } from './cose.ts'

/** Fields of an object: its number, its name, and whether absence is its zero. */
type Field = readonly [number, string, 'optional'?]

const task = [
  [1, 'version'], [2, 'chain'], [3, 'session'], [4, 'seq'], [5, 'kind'], [6, 'model'], [7, 'input'], [8, 'seed'], [9, 'width'], [10, 'height'],
  [11, 'steps'], [12, 'maxPrice'], [13, 'verify'], [14, 'deadline'], [15, 'maxUnits', 'optional'], [16, 'plan'],
] as const satisfies Field[]

const receipt = [
  [1, 'version'], [2, 'chain'], [3, 'task'], [4, 'session'], [5, 'seq'], [6, 'attempt'], [7, 'miner'], [8, 'coordinator'], [9, 'model'], [10, 'engine'],
  [11, 'input'], [12, 'seed'], [13, 'width'], [14, 'height'], [15, 'steps'], [16, 'output'], [17, 'media'], [18, 'size'], [19, 'pixels'], [20, 'sealed'],
  [21, 'trace'], [22, 'units'], [23, 'price'], [24, 'started'], [25, 'finished'], [26, 'proof', 'optional'],
] as const satisfies Field[]

type Int = number | bigint

export interface Task {
  version: number; chain: string; session: number; seq: number; kind: string; model: Uint8Array; input: Uint8Array; seed: Int; width: number; height: number
  steps: number; maxPrice: number; verify: string; deadline: number; maxUnits: number; plan: Uint8Array
}

export interface Receipt {
  version: number; chain: string; task: Uint8Array; session: number; seq: number; attempt: number; miner: Uint8Array; coordinator: Uint8Array; model: Uint8Array
  engine: string; input: Uint8Array; seed: Int; width: number; height: number; steps: number; output: Uint8Array; media: string; size: number; pixels: Uint8Array
  sealed: Uint8Array; trace: Uint8Array; units: number; price: number; started: number; finished: number; proof?: Uint8Array
}

function write(fields: readonly Field[], v: object): Bytes {
  const m = new Map<number, Item>()
  for (const [n, name, optional] of fields) {
    const x = (v as Record<string, Item | undefined>)[name]
    if (optional && !x) continue
    if (x === undefined) throw new Error(`${name} is missing`)
    m.set(n, x)
  }
  return encode(m)
}

function read<T>(what: string, fields: readonly Field[], b: Uint8Array): T {
  const m = decode(b)
  if (!(m instanceof Map)) throw new Error(`${what}: not an object`)
  const out: Record<string, Item> = {}
  for (const [n, name, optional] of fields) {
    const x = m.get(n)
    if (x === undefined && !optional) throw new Error(`${what}: ${name} is missing`)
    if (x !== undefined) out[name] = x
    m.delete(n)
  }
  if (m.size) throw new Error(`${what}: it has fields that this page does not know`)
  return out as T
}

export const encodeTask = (t: Task): Bytes => write(task, t)
export const taskDigest = (t: Task): Promise<Bytes> => sha256(encodeTask(t))
export const signTask = (t: Task, seed: Uint8Array): Bytes => sign('task', encodeTask(t), seed)

/** What only the user and the miner see. previews: how many pictures may be shown before the finished one. */
export function encodeInput(prompt: string, salt: Uint8Array, replyKey: Uint8Array, previews = 0): Bytes {
  const m = new Map<number, Item>([[1, prompt], [2, salt], [3, replyKey]])
  if (previews) m.set(4, previews)
  return encode(m)
}

const uint64 = (n: number): Bytes => concat(uint32(Math.floor(n / 2 ** 32)), uint32(n >>> 0))

/** What binds streamed parts to the attempt that writes them, and previews to their step (meter.go). */
export const partsInfo = (task: Uint8Array, attempt: number): Bytes => concat(task, uint64(attempt))
export const previewInfo = (task: Uint8Array, attempt: number, step: number): Bytes => concat(partsInfo(task, attempt), text(' preview '), uint32(step))

const PROMPT_TOKENS = 4 // that cost as much as one written
const PROMPT_SLACK = 256 // tokens that a model's template may add

/** The most units that a chat can come to (meter.go). */
export const mostUnits = (meter: string, prompt: number, written: number): number =>
  meter === 'token' ? Math.max(1, Math.ceil((prompt + PROMPT_SLACK) / PROMPT_TOKENS) + written) : 1

export interface Voucher { chain: string; session: number; coordinator: Uint8Array; amount: number; count: number }

export const signVoucher = (v: Voucher, seed: Uint8Array): Bytes =>
  sign('voucher', encode(new Map<number, Item>([[1, v.chain], [2, v.session], [3, v.coordinator], [4, v.amount], [5, v.count]])), seed)

export function signClose(chain: string, session: number, voucher: Uint8Array | undefined, seed: Uint8Array): Bytes {
  const m = new Map<number, Item>([[1, chain], [2, session]])
  if (voucher) m.set(3, voucher)
  return sign('close', encode(m), seed)
}

export interface Output { media: string; data: Uint8Array; warnings: string[]; proof?: Uint8Array }

export function readOutput(b: Uint8Array): Output {
  const o = read<{ media: string; data: Uint8Array; warnings: string[] | null; proof?: Uint8Array }>('output', [[1, 'media'], [2, 'data'], [3, 'warnings'], [4, 'proof', 'optional']], b)
  return { ...o, warnings: o.warnings ?? [] }
}

/** Opens a signed receipt; it must be by the miner that it names. */
export function openReceipt(b: Uint8Array): Receipt {
  const s = open('receipt', b)
  const r = read<Receipt>('receipt', receipt, s.payload)
  if (!equal(s.signer, r.miner)) throw new Error('receipt: it is signed by another than the miner that it names')
  return r
}

export function openTask(b: Uint8Array): { task: Task; payer: Uint8Array } {
  const s = open('task', b)
  return { task: read<Task>('task', task, s.payload), payer: s.signer }
}

/** A receipt file is what a user keeps: the signed task and the signed receipt. */
export const encodeFile = (signedTask: Uint8Array, signedReceipt: Uint8Array): Bytes =>
  encode(new Map<number, Item>([[1, signedTask], [2, signedReceipt]]))

export interface File { task: Task; payer: Uint8Array; receipt: Receipt; signedReceipt: Uint8Array }

/** Reads a receipt file and runs every check that needs no network: both signatures, and that the receipt answers the task. */
export async function openFile(b: Uint8Array): Promise<File> {
  const f = read<{ task: Uint8Array; receipt: Uint8Array }>('receipt file', [[1, 'task'], [2, 'receipt']], b)
  const { task, payer } = openTask(f.task)
  const r = openReceipt(f.receipt)
  await binds(r, task)
  return { task, payer, receipt: r, signedReceipt: f.receipt }
}

/** Refuses a receipt that is of something else than the task asks for, naming the first difference. */
export async function binds(r: Receipt, t: Task): Promise<void> {
  const fit = (asked: number, made: number) => asked === 0 || asked === made
  const most = Math.max(1, t.maxUnits ?? 0)
  const checks: [string, boolean][] = [
    ['version', r.version === 1 && t.version === 1],
    ['chain', r.chain === t.chain],
    ['task', equal(r.task, await taskDigest(t))],
    ['session', r.session === t.session && r.seq === t.seq],
    ['model', equal(r.model, t.model)],
    ['input', equal(r.input, t.input)],
    ['seed', BigInt(r.seed) === BigInt(t.seed)],
    ['size', fit(t.width, r.width) && fit(t.height, r.height)],
    ['steps', fit(t.steps, r.steps) || (t.kind === 'text.chat' && r.steps <= t.steps)],
    ['units', r.units >= 1 && r.units <= most],
    ['price', r.price <= t.maxPrice],
    ['output', r.output.some((x) => x !== 0)],
    ['proof', t.verify !== 'proof' || r.proof !== undefined],
  ]
  for (const [name, ok] of checks) if (!ok) throw new Error(`the receipt is not of what was asked: ${name} differs`)
}

const verdict = [
  [1, 'version'], [2, 'chain'], [3, 'receipt'], [4, 'task'], [5, 'verifier'], [6, 'method'], [7, 'result'], [8, 'near'], [9, 'score'], [10, 'evidence'], [11, 'height'],
] as const satisfies Field[]

export interface Verdict { chain: string; receipt: Uint8Array; task: Uint8Array; verifier: Uint8Array; method: string; result: string; evidence: Uint8Array; height: number }

/** Reads a signed verdict on a receipt and the signed rerun that it rests on, and compares the two results itself (verify/audit.go). */
export async function examine(f: File, signed: Uint8Array, rerunFile: Uint8Array): Promise<{ verdict: Verdict; by: Uint8Array }> {
  const s = open('verdict', signed)
  const v = read<Verdict>('verdict', verdict, s.payload)
  const again = await openFile(rerunFile)
  const [r, x] = [f.receipt, again.receipt]
  const digest = (b: Uint8Array) => sha256(open('receipt', b).payload)
  const same = r.chain === x.chain && equal(r.input, x.input) && equal(r.model, x.model) && BigInt(r.seed) === BigInt(x.seed) && r.width === x.width && r.height === x.height && r.steps === x.steps
  const agree = equal(r.pixels, x.pixels) && equal(r.trace, x.trace)
  const checks: [string, boolean][] = [
    ['who signed', equal(s.signer, v.verifier)],
    ['what it is about', v.chain === r.chain && equal(v.receipt, await digest(f.signedReceipt)) && equal(v.task, r.task)],
    ['who judges', !equal(v.verifier, r.miner) && !equal(x.miner, r.miner)],
    ['the rerun', same && equal(v.evidence, await digest(again.signedReceipt))],
    ['the result', (v.result === 'valid') === agree],
  ]
  for (const [name, ok] of checks) if (!ok) throw new Error(`a check of this receipt does not hold: ${name}`)
  return { verdict: v, by: x.miner }
}

/** The CID (version 1, raw, SHA-256) of bytes with this digest. */
export function cid(digest: Uint8Array): string {
  const b = concat(new Uint8Array([1, 0x55, 0x12, 32]), digest)
  const letters = 'abcdefghijklmnopqrstuvwxyz234567'
  let out = 'b'
  let bits = 0
  let acc = 0
  for (const x of b) {
    acc = (acc << 8) | x
    for (bits += 8; bits >= 5; bits -= 5) out += letters[(acc >> (bits - 5)) & 31]
    acc &= (1 << bits) - 1
  }
  return bits ? out + letters[(acc << (5 - bits)) & 31] : out
}

/** SHA-256 of a picture's RGB bytes, row by row, out of RGBA. */
export function pixelsDigest(rgba: ArrayLike<number>): Promise<Bytes> {
  const n = rgba.length / 4
  const rgb = new Uint8Array(3 * n)
  for (let i = 0; i < n; i++) {
    rgb[3 * i] = rgba[4 * i]!
    rgb[3 * i + 1] = rgba[4 * i + 1]!
    rgb[3 * i + 2] = rgba[4 * i + 2]!
  }
  return sha256(rgb)
}

export const short = (b: Uint8Array): string => hex(b).slice(0, 8)
export const none = (): Bytes => new Uint8Array(32)
