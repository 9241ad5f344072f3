// An account's key in Web3 Secret Storage, version 3: what `essaim` and Ethereum wallets keep.

import { ctr } from '@noble/ciphers/aes.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { scryptAsync } from '@noble/hashes/scrypt.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { type Bytes, concat, equal, hex, random, readHex, text } from './bytes.ts'
import { addressOf } from './ledger.ts'

export interface KeyFile {
  version: 3
  id: string
  address: string
  crypto: {
    cipher: string
    ciphertext: string
    cipherparams: { iv: string }
    kdf: string
    kdfparams: { n: number; r: number; p: number; dklen: number; salt: string }
    mac: string
  }
}

// Some seconds of a phone, so that guessing a passphrase is dear.
const COST = 1 << 16

export const newSecret = (): Bytes => secp256k1.utils.randomSecretKey() as Bytes
export const publicKey = (secret: Uint8Array): Bytes => secp256k1.getPublicKey(secret, true) as Bytes

export async function lock(secret: Uint8Array, passphrase: string, onProgress?: (part: number) => void): Promise<KeyFile> {
  const salt = random(32)
  const iv = random(16)
  const key = await scryptAsync(text(passphrase), salt, { N: COST, r: 8, p: 1, dkLen: 32, onProgress })
  const sealed = ctr(key.subarray(0, 16), iv).encrypt(secret)
  return {
    version: 3,
    id: crypto.randomUUID(),
    address: hex(addressOf(publicKey(secret))),
    crypto: {
      cipher: 'aes-128-ctr', ciphertext: hex(sealed), cipherparams: { iv: hex(iv) },
      kdf: 'scrypt', kdfparams: { n: COST, r: 8, p: 1, dklen: 32, salt: hex(salt) }, mac: hex(keccak_256(concat(key.subarray(16), sealed))),
    },
  }
}

export class WrongPassphrase extends Error {}

export async function unlock(f: KeyFile, passphrase: string, onProgress?: (part: number) => void): Promise<Bytes> {
  const c = f.crypto
  const k = c?.kdfparams
  if (f.version !== 3 || c?.cipher !== 'aes-128-ctr' || c.kdf !== 'scrypt' || k.dklen !== 32) throw new Error('only key files of version 3 with scrypt and aes-128-ctr are read')
  if (!(k.n <= 1 << 20 && k.r <= 32 && k.p <= 32)) throw new Error('the key file asks for an absurd amount of work')
  const sealed = readHex(c.ciphertext, 32)
  const key = await scryptAsync(text(passphrase), readHex(k.salt, k.salt.length / 2), { N: k.n, r: k.r, p: k.p, dkLen: 32, onProgress, maxmem: 2 ** 31 })
  if (!equal(keccak_256(concat(key.subarray(16), sealed)), readHex(c.mac, 32))) throw new WrongPassphrase('wrong passphrase, or the key file is damaged')
  const secret = ctr(key.subarray(0, 16), readHex(c.cipherparams.iv, 16)).decrypt(sealed) as Bytes
  if (hex(addressOf(publicKey(secret))) !== f.address.replace(/^0x/, '').toLowerCase()) throw new Error("the key file's address belongs to another key")
  return secret
}
