// Envelopes that only their recipients can open, in the format of docs/protocol/envelope.md:
// HPKE (RFC 9180) with MLKEM768-X25519, HKDF-SHA256 and, for the content, AES-256-GCM.

import { gcm } from '@noble/ciphers/aes.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256 as hash } from '@noble/hashes/sha2.js'
import { ml_kem768_x25519 as kem } from '@noble/post-quantum/hybrid.js'
import { type Bytes, concat, equal, random, text, uint32 } from './bytes.ts'

const magic = new Uint8Array([0x45, 0x53, 0x4c, 2]) // "ESL", version 2
const saltSize = 16
const headSize = magic.length + 1 + saltSize
const idSize = 16
const encSize = 1120
const slotSize = idSize + encSize + 32 + 16
const maxRecipients = 32
const step = 64 << 10
const nonce = new Uint8Array(12) // every key is used once

// The suite of HPKE: KEM 0x647a, KDF HKDF-SHA256, AEAD AES-128-GCM, which only parts use.
const suite = concat(text('HPKE'), new Uint8Array([0x64, 0x7a, 0, 1, 0, 1]))
const labelled = (label: string, x: Uint8Array) => concat(text('HPKE-v1'), suite, text(label), x)
const labelledExtract = (salt: Uint8Array, label: string, ikm: Uint8Array) => extract(hash, labelled(label, ikm), salt)
const labelledExpand = (secret: Uint8Array, label: string, info: Uint8Array, length: number) =>
  expand(hash, secret, concat(new Uint8Array([length >> 8, length & 255]), labelled(label, info)), length)

/** What the key schedule gives for a shared secret and an info (RFC 9180 §5.1, base mode), by label. */
function schedule(shared: Uint8Array, info: Uint8Array): (label: string, length: number) => Uint8Array {
  const none = new Uint8Array()
  const context = concat(new Uint8Array([0]), labelledExtract(none, 'psk_id_hash', none), labelledExtract(none, 'info_hash', info))
  const secret = labelledExtract(shared, 'secret', none)
  return (label, length) => labelledExpand(secret, label, context, length)
}

function slotKey(shared: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array {
  const exporter = schedule(shared, text('essaim/seal/2'))('exp', 32)
  return labelledExpand(exporter, 'sec', concat(text('key\0'), salt, info), 32)
}

export interface KeyPair { secret: Uint8Array; public: Uint8Array }

export function generateKey(seed: Uint8Array = random(32)): KeyPair {
  const k = kem.keygen(seed)
  return { secret: k.secretKey, public: k.publicKey }
}

const keyID = (publicKey: Uint8Array) => hash(publicKey).slice(0, idSize)

/** Makes an envelope that each recipient, and nobody else, opens with the same info. */
export function seal(plaintext: Uint8Array, info: Uint8Array, recipients: Uint8Array[]): Bytes {
  if (recipients.length === 0 || recipients.length > maxRecipients) throw new Error(`an envelope to ${recipients.length} recipients`)
  const content = random(32)
  const salt = random(saltSize)
  const slots = recipients.map((to) => {
    const { cipherText, sharedSecret } = kem.encapsulate(to)
    return concat(keyID(to), cipherText, gcm(slotKey(sharedSecret, salt, info), nonce).encrypt(content))
  })
  const head = concat(magic, new Uint8Array([recipients.length]), salt, ...slots)
  const padded = new Uint8Array(bucket(plaintext.length))
  padded.set(uint32(plaintext.length))
  padded.set(plaintext, 4)
  return concat(head, gcm(content, nonce, head).encrypt(padded))
}

/** Opens an envelope; anything changed, another key or another info is refused. */
export function open(envelope: Uint8Array, info: Uint8Array, key: KeyPair): Uint8Array {
  const refused = (why: string) => new Error(`the sealed answer is refused: ${why}`)
  const n = envelope[magic.length] ?? 0
  const head = headSize + n * slotSize
  const body = envelope.length - head - 16
  if (!equal(envelope.subarray(0, magic.length), magic) || n === 0 || n > maxRecipients || body < 4 || body !== bucket(body - 4)) throw refused('it is not an envelope')
  const id = keyID(key.public)
  for (let at = headSize; at < head; at += slotSize) {
    if (!equal(envelope.subarray(at, at + idSize), id)) continue
    const shared = kem.decapsulate(envelope.subarray(at + idSize, at + idSize + encSize), key.secret)
    const salt = envelope.subarray(magic.length + 1, headSize)
    const content = gcm(slotKey(shared, salt, info), nonce).decrypt(envelope.subarray(at + idSize + encSize, at + slotSize))
    const padded = gcm(content, nonce, envelope.subarray(0, head)).decrypt(envelope.subarray(head))
    const size = new DataView(padded.buffer, padded.byteOffset).getUint32(0)
    if (size > padded.length - 4 || bucket(size) !== padded.length || padded.subarray(4 + size).some((x) => x !== 0)) throw refused('its padding is wrong')
    return padded.slice(4, 4 + size)
  }
  throw refused('it is sealed to another key')
}

/** Opens what is sealed part by part while it is made, in order (seal/parts.go). What does not open throws. */
export class Parts {
  private key: KeyPair
  private info: Uint8Array
  private gave: ReturnType<typeof schedule> | undefined
  private count = 0

  constructor(key: KeyPair, info: Uint8Array) {
    this.key = key
    this.info = concat(text('essaim/parts/1\0'), info)
  }

  open(part: Uint8Array): Uint8Array {
    if (!this.gave) {
      this.gave = schedule(kem.decapsulate(part.subarray(0, encSize), this.key.secret), this.info)
      part = part.subarray(encSize)
    }
    const once = this.gave('base_nonce', 12)
    uint32(this.count++).forEach((x, i) => (once[8 + i]! ^= x))
    const padded = gcm(this.gave('key', 16), once).decrypt(part)
    const size = (padded[0]! << 8) | padded[1]!
    if (size > padded.length - 2) throw new Error('a part of the answer is damaged')
    return padded.slice(2, 2 + size)
  }
}

/** The padded length of n bytes. */
function bucket(n: number): number {
  n += 4
  for (const b of [1 << 10, 4 << 10, 16 << 10]) if (n <= b) return b
  return Math.ceil(n / step) * step
}
