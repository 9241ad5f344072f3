// What the page keeps in the browser (IndexedDB): the account's key, sessions, pictures with
// their receipts. Nothing of it leaves the browser.

import type { KeyFile } from './keyfile.ts'

/** Without a passphrase the key is sealed to a key that this browser holds and does not hand out. */
export type KeptKey =
  | { how: 'browser'; address: string; wrap: CryptoKey; iv: Uint8Array<ArrayBuffer>; sealed: ArrayBuffer }
  | { how: 'passphrase'; address: string; file: KeyFile }
  | { how: 'ethereum'; address: string; wallet?: string } // wallet: which of several

export interface KeptSession {
  id: number; chain: string; coordinator: string; seed: Uint8Array; deposit: number; expiry: number; opened: string
  seq: number; spent: number; accepted: number; doubtful: number; limit: number
}

export interface Picture {
  task: string // digest, hex: its name
  chain: string; prompt: string; model: string; modelName: string; seed: string; made: number
  media: string; data: Uint8Array<ArrayBuffer>; file: Uint8Array; warnings: string[]; price: number; session: number
  proof?: Uint8Array<ArrayBuffer>
}

const stores = ['keys', 'sessions', 'pictures'] as const
type Store = (typeof stores)[number]

let opened: Promise<IDBDatabase> | undefined

function database(): Promise<IDBDatabase> {
  return (opened ??= new Promise((ok, fail) => {
    const r = indexedDB.open('essaim', 1)
    r.onupgradeneeded = () => stores.forEach((s) => r.result.createObjectStore(s))
    r.onsuccess = () => ok(r.result)
    r.onerror = () => fail(r.error)
  }))
}

async function run<T>(store: Store, mode: IDBTransactionMode, ask: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await database()
  return new Promise((ok, fail) => {
    const t = db.transaction(store, mode)
    const r = ask(t.objectStore(store))
    t.oncomplete = () => ok(r.result)
    t.onerror = t.onabort = () => fail(t.error)
  })
}

const get = <T>(s: Store, key: string) => run<T | undefined>(s, 'readonly', (o) => o.get(key) as IDBRequest<T | undefined>)
const put = (s: Store, key: string, v: unknown) => run(s, 'readwrite', (o) => o.put(v, key)).then(() => {})
const remove = (s: Store, key: string) => run(s, 'readwrite', (o) => o.delete(key)).then(() => {})

export const loadKey = () => get<KeptKey>('keys', 'account')
export const saveKey = (k: KeptKey) => put('keys', 'account', k)
export const forgetKey = () => remove('keys', 'account')

const sessionName = (address: string, chain: string) => `${chain}/${address}`
export const loadSession = (address: string, chain: string) => get<KeptSession>('sessions', sessionName(address, chain))
export const saveSession = (address: string, s: KeptSession) => put('sessions', sessionName(address, s.chain), s)
export const forgetSession = (address: string, chain: string) => remove('sessions', sessionName(address, chain))

export const savePicture = (p: Picture) => put('pictures', p.task, p)
export const loadPicture = (task: string) => get<Picture>('pictures', task)
export const forgetPicture = (task: string) => remove('pictures', task)

/** All pictures, the newest first. */
export async function pictures(): Promise<Picture[]> {
  const all = await run<Picture[]>('pictures', 'readonly', (o) => o.getAll() as IDBRequest<Picture[]>)
  return all.sort((a, b) => b.made - a.made)
}
