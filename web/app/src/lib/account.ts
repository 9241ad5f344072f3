// The account that pays: a key made here, or a wallet that knows Ethereum. Either signs the text
// of a transaction.

import { type Bytes, concat, hex, readBase64, readHex, text as bytesOf } from './bytes.ts'
import type { Gateway, Tx } from './gateway.ts'
import { addressOf, type Draft, gasOf, type Message, personalSign, readAddress, recover, signText, spell, transaction } from './ledger.ts'
import { type KeyFile, lock, newSecret, publicKey, unlock } from './keyfile.ts'
import { type KeptKey, loadKey, saveKey } from './store.ts'

export interface Signer {
  address: string // essaim1…
  sign(text: string): Promise<Uint8Array> // 65 bytes r || s || v of personal_sign
}

/** What wallets of Ethereum put into a page (EIP-1193). */
export interface Ethereum {
  request(r: { method: string; params?: unknown[] }): Promise<unknown>
}

/** A wallet in this browser. */
export interface Wallet {
  name: string
  id: string // of its maker, such as io.metamask or app.keplr; empty: it does not say
  icon: string // data: URL, or empty
  provider: Ethereum
}

const announced = new Map<string, Wallet>()

// Wallets announce themselves (EIP-6963), so that several can live in one browser: MetaMask, Rabby, Keplr.
addEventListener('eip6963:announceProvider', (e) => {
  const { info, provider } = (e as CustomEvent<{ info: { name: string; rdns: string; icon: string }; provider: Ethereum }>).detail ?? {}
  if (info && provider) announced.set(info.rdns, { name: String(info.name).slice(0, 40), id: String(info.rdns), icon: /^data:image\//.test(info.icon) ? info.icon : '', provider })
})

/** The wallets that have announced themselves, or the one that older wallets put into the page. */
export function wallets(): Wallet[] {
  dispatchEvent(new Event('eip6963:requestProvider'))
  if (announced.size) return [...announced.values()]
  const only = (globalThis as { ethereum?: Ethereum }).ethereum
  return only ? [{ name: '', id: '', icon: '', provider: only }] : []
}

const secretSigner = (secret: Uint8Array): Signer => ({
  address: spell(addressOf(publicKey(secret))),
  sign: async (text) => personalSign(text, secret),
})

function ethereumSigner(address: string, wallet: string): Signer {
  return {
    address,
    async sign(text) {
      const e = wallets().find((w) => w.id === wallet)?.provider
      if (!e) throw new Error('the wallet of this account is not in this browser')
      const signature = await e.request({ method: 'personal_sign', params: ['0x' + hex(bytesOf(text)), '0x' + hex(readAddress(address))] })
      return readHex(String(signature).replace(/^0x/, ''), 65)
    },
  }
}

/** Makes a new account whose key stays sealed in this browser. */
export async function create(): Promise<{ kept: KeptKey; signer: Signer }> {
  return keepInBrowser(newSecret())
}

async function keepInBrowser(secret: Bytes) {
  const wrap = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const signer = secretSigner(secret)
  const kept: KeptKey = { how: 'browser', address: signer.address, wrap, iv, sealed: await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, wrap, secret) }
  await saveKey(kept)
  return { kept, signer }
}

const secretOf = async (k: KeptKey & { how: 'browser' }): Promise<Bytes> =>
  new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: k.iv }, k.wrap, k.sealed))

/** The account that this browser keeps; its signer is missing while a passphrase is needed. */
export async function kept(): Promise<{ kept: KeptKey; signer?: Signer } | undefined> {
  const k = await loadKey()
  if (!k) return undefined
  if (k.how === 'browser') return { kept: k, signer: secretSigner(await secretOf(k)) }
  if (k.how === 'ethereum') return { kept: k, signer: ethereumSigner(k.address, k.wallet ?? '') }
  return { kept: k }
}

export const open = async (file: KeyFile, passphrase: string): Promise<Signer> => secretSigner(await unlock(file, passphrase))

/** The key as a file that `essaim account import` and Ethereum wallets read. */
export async function exported(k: KeptKey, passphrase: string): Promise<KeyFile> {
  if (k.how === 'passphrase') return k.file
  if (k.how === 'ethereum') throw new Error('the wallet keeps this key')
  return lock(await secretOf(k), passphrase)
}

/** From now on the key is kept under a passphrase only. */
export async function protect(k: KeptKey, passphrase: string): Promise<KeptKey> {
  const now: KeptKey = { how: 'passphrase', address: k.address, file: await exported(k, passphrase) }
  await saveKey(now)
  return now
}

/** Takes an account over from a key file. */
export async function imported(file: KeyFile, passphrase: string): Promise<{ kept: KeptKey; signer: Signer }> {
  const signer = await open(file, passphrase)
  const k: KeptKey = { how: 'passphrase', address: signer.address, file }
  await saveKey(k)
  return { kept: k, signer }
}

/** Uses the account that a wallet shows. */
export async function connect(w: Wallet): Promise<{ kept: KeptKey; signer: Signer }> {
  const [first] = (await w.provider.request({ method: 'eth_requestAccounts' })) as string[]
  if (!first) throw new Error('the wallet shows no account')
  const address = spell(readAddress(first))
  const k: KeptKey = { how: 'ethereum', address, wallet: w.id }
  await saveKey(k)
  return { kept: k, signer: ethereumSigner(address, w.id) }
}

const LIFETIME = 250 // blocks that a transaction may wait

/** Writes a transaction, has it signed and waits for its block. agree is shown the text before; false stops it. */
export async function transact(g: Gateway, by: Signer, message: Message, agree: (message: Message, text: string) => Promise<boolean> = async () => true): Promise<{ tx: Tx; answer: Uint8Array }> {
  const [head, account] = await Promise.all([g.head(), g.account(by.address)])
  const draft: Draft = { chain: head.chain_id, account, message, gas: gasOf(message), timeout: head.height + LIFETIME }
  const text = signText(draft)
  if (!(await agree(message, text))) throw new Error('you have refused the transaction')
  const signature = await by.sign(text)
  const key = recover(text, signature, readAddress(by.address))
  const { tx, answer } = await g.broadcast(transaction(draft, key, concat(signature)))
  return { tx, answer: readBase64(answer) }
}
