// Accounts and transactions of the ledger, without its software: a transaction is put together
// and written out as text here, and the text is what is signed (SIGN_MODE_EIP_191). So nobody
// else says what a signature is for, and a wallet that knows only Ethereum can show it.

import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { bech32 } from '@scure/base'
import { type Bytes, concat, equal, hex, readHex, text } from './bytes.ts'

export const DENOM = 'uaim'
const PREFIX = 'essaim'

/** An account's address, the last 20 bytes of the Keccak-256 of its public key, as Ethereum has it. */
export function addressOf(publicKey: Uint8Array): Bytes {
  return keccak_256(secp256k1.Point.fromBytes(publicKey).toBytes(false).subarray(1)).slice(12) as Bytes
}

export const spell = (address: Uint8Array): string => bech32.encode(PREFIX, bech32.toWords(address))

/** EIP-55: the case of the digits is a checksum. */
export function spellHex(address: Uint8Array): string {
  const digits = hex(address)
  const sum = hex(keccak_256(text(digits)))
  return '0x' + Array.from(digits, (c, i) => (parseInt(sum[i]!, 16) >= 8 ? c.toUpperCase() : c)).join('')
}

/** Reads essaim1… or 0x…; one in mixed case must carry a right checksum. */
export function readAddress(s: string): Bytes {
  s = s.trim()
  if (/^0x/i.test(s)) {
    const digits = s.slice(2)
    const a = readHex(digits, 20)
    if (digits !== digits.toLowerCase() && digits !== digits.toUpperCase() && spellHex(a) !== '0x' + digits) throw new Error('the checksum is wrong: a digit was mistyped')
    return a
  }
  const { prefix, words } = bech32.decode(s as `${string}1${string}`, 90)
  const a = bech32.fromWords(words) as Bytes
  if (prefix !== PREFIX || a.length !== 20) throw new Error(`an address starts with ${PREFIX}1 or 0x`)
  return a
}

/** One message: its name on the wire, its name in the text, and its fields in the order of their numbers. */
export interface Message {
  url: string
  amino: string
  fields: MessageField[]
}

type MessageField = { n: number; name: string } & ({ text: string } | { amount: number } | { height: number } | { flag: boolean } | { choice: number } | { coins: number })

const essaim = (module: string, name: string, amino: string, fields: MessageField[]): Message => ({ url: `/essaim.${module}.v1.Msg${name}`, amino: `essaim/${amino}`, fields })

export const send = (from: string, to: string, amount: number): Message => ({
  url: '/cosmos.bank.v1beta1.MsgSend',
  amino: 'cosmos-sdk/MsgSend',
  fields: [{ n: 1, name: 'from_address', text: from }, { n: 2, name: 'to_address', text: to }, { n: 3, name: 'amount', coins: amount }],
})

export const openSession = (payer: string, coordinator: string, deposit: number, sessionKey: string, expiry: number): Message =>
  essaim('market', 'OpenSession', 'OpenSession', [
    { n: 1, name: 'payer', text: payer }, { n: 2, name: 'coordinator', text: coordinator }, { n: 3, name: 'deposit', amount: deposit },
    { n: 4, name: 'session_key', text: sessionKey }, { n: 5, name: 'expiry', height: expiry },
  ])

export const delegate = (delegator: string, node: string, amount: number): Message =>
  essaim('registry', 'Delegate', 'Delegate', [{ n: 1, name: 'delegator', text: delegator }, { n: 2, name: 'node_key', text: node }, { n: 3, name: 'amount', amount }])

/** amount 0 means all. */
export const undelegate = (delegator: string, node: string, amount: number): Message =>
  essaim('registry', 'Undelegate', 'Undelegate', [{ n: 1, name: 'delegator', text: delegator }, { n: 2, name: 'node_key', text: node }, { n: 3, name: 'amount', amount }])

export const claimRewards = (delegator: string): Message =>
  essaim('registry', 'Claim', 'ClaimRewards', [{ n: 1, name: 'delegator', text: delegator }])

/** fee is the most that the owner agrees to pay for a period. */
export const registerName = (owner: string, name: string, fee: number): Message =>
  essaim('names', 'Register', 'RegisterName', [{ n: 1, name: 'owner', text: owner }, { n: 2, name: 'name', text: name }, { n: 3, name: 'max_fee', amount: fee }])

/** What a vote may say, in the order of x/gov's numbers, which begin at 1. */
export const voteOptions = ['yes', 'abstain', 'no', 'veto'] as const
export type VoteOption = (typeof voteOptions)[number]

export const vote = (voter: string, proposal: number, option: VoteOption): Message => ({
  url: '/cosmos.gov.v1.MsgVote',
  amino: 'cosmos-sdk/v1/MsgVote',
  fields: [{ n: 1, name: 'proposal_id', height: proposal }, { n: 2, name: 'voter', text: voter }, { n: 3, name: 'option', choice: voteOptions.indexOf(option) + 1 }],
})

// Protocol Buffers, written only.
function varint(n: number | bigint): Bytes {
  const out: number[] = []
  for (let v = BigInt(n); ; v >>= 7n) {
    if (v < 0x80n) return new Uint8Array([...out, Number(v)])
    out.push(Number(v & 0x7fn) | 0x80)
  }
}
const chunk = (n: number, b: Uint8Array): Bytes => concat(varint((n << 3) | 2), varint(b.length), b)
const words = (n: number, s: string): Bytes => (s ? chunk(n, text(s)) : new Uint8Array())
const number = (n: number, v: number): Bytes => (v ? concat(varint(n << 3), varint(v)) : new Uint8Array())
const any = (url: string, value: Uint8Array): Bytes => concat(words(1, url), chunk(2, value))

function wire(m: Message): Bytes {
  return concat(...m.fields.map((f) => {
    if ('text' in f) return words(f.n, f.text)
    if ('amount' in f) return number(f.n, f.amount)
    if ('height' in f) return number(f.n, f.height)
    if ('flag' in f) return number(f.n, f.flag ? 1 : 0)
    if ('choice' in f) return number(f.n, f.choice)
    return chunk(f.n, concat(words(1, DENOM), words(2, String(f.coins))))
  }))
}

/** The message as JSON that people read: zero values are left out, 64-bit numbers are texts. */
function amino(m: Message): object {
  const value: Record<string, unknown> = {}
  for (const f of m.fields) {
    if ('text' in f && f.text) value[f.name] = f.text
    if ('amount' in f && f.amount) value[f.name] = String(f.amount)
    if ('height' in f && f.height) value[f.name] = String(f.height)
    if ('flag' in f && f.flag) value[f.name] = true
    if ('choice' in f) value[f.name] = f.choice
    if ('coins' in f) value[f.name] = [{ amount: String(f.coins), denom: DENOM }]
  }
  return { type: m.amino, value }
}

function sorted(v: unknown): unknown {
  if (Array.isArray(v)) return v.map(sorted)
  if (typeof v !== 'object' || v === null) return v
  return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, x]) => [k, sorted(x)]))
}

export interface Account { number: string; sequence: number } // number: any 64 bits

export interface Draft {
  chain: string
  account: Account
  message: Message
  gas: number
  timeout: number // height after which it can never be included
}

/** What a wallet shows and signs. */
export function signText(d: Draft): string {
  return JSON.stringify(sorted({
    account_number: d.account.number, chain_id: d.chain, fee: { amount: [], gas: String(d.gas) }, memo: '', msgs: [amino(d.message)],
    sequence: String(d.account.sequence), timeout_height: String(d.timeout),
  }), null, 2)
}

const wrapped = (message: string) => {
  const b = text(message)
  return keccak_256(concat(text(`\x19Ethereum Signed Message:\n${b.length}`), b))
}

/** personal_sign with a key: 65 bytes r || s || v, v being 27 or 28. */
export function personalSign(message: string, secret: Uint8Array): Bytes {
  const s = secp256k1.sign(wrapped(message), secret, { prehash: false, format: 'recovered' })
  return concat(s.subarray(1), new Uint8Array([27 + s[0]!]))
}

/** The compressed public key that has signed a text, which must be the address's. */
export function recover(message: string, signature: Uint8Array, address: Uint8Array): Bytes {
  const v = signature[64]!
  const s = secp256k1.Signature.fromBytes(signature.subarray(0, 64)).addRecoveryBit(v >= 27 ? v - 27 : v)
  const key = s.recoverPublicKey(wrapped(message)).toBytes(true) as Bytes
  if (!equal(addressOf(key), address)) throw new Error('the wallet has signed with another account')
  return key
}

const EIP_191 = 191 // the sign mode's number
const GAS_BASE = 500_000
const GAS_BYTE = 60

export const gasOf = (m: Message): number => GAS_BASE + GAS_BYTE * wire(m).length

/** The signed transaction as the ledger takes it. */
export function transaction(d: Draft, publicKey: Uint8Array, signature: Uint8Array): Bytes {
  const body = concat(chunk(1, any(d.message.url, wire(d.message))), number(3, d.timeout))
  const signer = concat(
    chunk(1, any('/essaim.crypto.v1.PubKey', chunk(1, publicKey))),
    chunk(2, chunk(1, number(1, EIP_191))),
    number(3, d.account.sequence),
  )
  const auth = concat(chunk(1, signer), chunk(2, number(2, d.gas)))
  return concat(chunk(1, body), chunk(2, auth), chunk(3, signature))
}

/** Reads one number out of a message's answer, such as the session that was opened. */
export function readNumber(b: Uint8Array, field: number): number {
  for (let at = 0; at < b.length; ) {
    const key = b[at++]!
    let v = 0n
    for (let shift = 0n; ; shift += 7n) {
      const x = b[at++]
      if (x === undefined) throw new Error('the answer ends early')
      v |= BigInt(x & 0x7f) << shift
      if (x < 0x80) break
    }
    if (key >> 3 === field && (key & 7) === 0) return Number(v)
    if ((key & 7) === 2) at += Number(v)
    else if ((key & 7) !== 0) break
  }
  return 0
}
