// Bytes and their spellings. Uint8Array everywhere; nothing here keeps what it is given.

export type Bytes = Uint8Array<ArrayBuffer>

const utf8 = new TextEncoder()

export const text = (s: string): Bytes => utf8.encode(s)

/** Decodes UTF-8; malformed bytes are an error. */
export const readText = (b: Uint8Array): string => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(b)

export function concat(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i])
}

export const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('')

/** Reads hexadecimal digits of a known number of bytes. */
export function readHex(s: string, size: number): Bytes {
  if (s.length !== 2 * size || !/^[0-9a-fA-F]*$/.test(s)) throw new Error(`want ${2 * size} hex digits, got ${JSON.stringify(s.slice(0, 80))}`)
  return Uint8Array.from({ length: size }, (_, i) => parseInt(s.slice(2 * i, 2 * i + 2), 16))
}

export function base64(b: Uint8Array): string {
  let s = ''
  for (let i = 0; i < b.length; i += 0x8000) s += String.fromCharCode(...b.subarray(i, i + 0x8000))
  return btoa(s)
}

export const readBase64 = (s: string): Bytes => Uint8Array.from(atob(s), (c) => c.charCodeAt(0))

export function random(n: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(n))
}

/** Big-endian, 4 bytes. */
export function uint32(n: number): Bytes {
  const b = new Uint8Array(4)
  new DataView(b.buffer).setUint32(0, n)
  return b
}

export async function sha256(b: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', b as Bytes))
}
