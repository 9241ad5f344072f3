// COSE_Sign1 (RFC 9052) with EdDSA in the one shape that Essaim uses: the protected header has
// algorithm, content type and the signer's key, the unprotected header is empty.

import { ed25519 } from '@noble/curves/ed25519.js'
import { type Bytes, concat, equal, hex } from './bytes.ts'
import { decode, encode, head, type Item } from './cbor.ts'

const type = (what: string) => `application/essaim.${what}+cbor`

function header(what: string, signer: Uint8Array): Bytes {
  return encode(new Map<number, Item>([[1, -8], [3, type(what)], [4, signer]]))
}

/** Sig_structure of RFC 9052 §4.4. */
const toSign = (protectedHeader: Uint8Array, payload: Uint8Array) => encode(['Signature1', protectedHeader, new Uint8Array(), payload])

/** Signs a payload, such as a "task", with an Ed25519 seed. */
export function sign(what: string, payload: Uint8Array, seed: Uint8Array): Bytes {
  const h = header(what, ed25519.getPublicKey(seed))
  const signature = ed25519.sign(toSign(h, payload), seed)
  return concat(new Uint8Array([0xd2]), head(4, 4), encode(h), head(5, 0), encode(payload), encode(signature))
}

export interface Signed {
  signer: Uint8Array // Ed25519 public key
  payload: Uint8Array
}

/** Takes a message apart and checks its signature, by the rules of ZIP 215 as all of Essaim does. */
export function open(what: string, b: Uint8Array): Signed {
  const damaged = (why: string) => new Error(`${what}: ${why}`)
  if (b[0] !== 0xd2) throw damaged('not a COSE_Sign1 message')
  const parts = decode(b.subarray(1))
  if (!Array.isArray(parts) || parts.length !== 4) throw damaged('not a COSE_Sign1 message')
  const [h, empty, payload, signature] = parts
  if (!(h instanceof Uint8Array) || !(empty instanceof Map) || empty.size !== 0 || !(payload instanceof Uint8Array) || !(signature instanceof Uint8Array) || h.length < 32) {
    throw damaged('not a COSE_Sign1 message of this sort')
  }
  const signer = h.slice(-32)
  if (!equal(h, header(what, signer))) throw damaged(`its header does not say ${type(what)}, or not who signed`)
  if (!ed25519.verify(signature, toSign(h, payload), signer, { zip215: true })) throw damaged(`the signature of ${hex(signer).slice(0, 8)} does not match`)
  return { signer, payload }
}
