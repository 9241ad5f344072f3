// Core deterministic CBOR (RFC 8949 §4.2.1) of what Essaim signs: maps with integer keys,
// unsigned and negative integers, byte strings, texts, arrays. One value has one encoding:
// what is read is refused unless it is that one.

import { type Bytes, concat, readText, text } from './bytes.ts'

export type Item = number | bigint | string | Uint8Array | boolean | null | Item[] | Map<number | string, Item>

const kind = { uint: 0, neg: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const

/** A head in its shortest form. */
export function head(major: number, n: number | bigint): Bytes {
  const m = major << 5
  const v = BigInt(n)
  if (v < 24n) return new Uint8Array([m | Number(v)])
  const size = v <= 0xffn ? 1 : v <= 0xffffn ? 2 : v <= 0xffffffffn ? 4 : 8
  const b = new Uint8Array(1 + size)
  b[0] = m | (24 + Math.log2(size))
  for (let i = 0; i < size; i++) b[size - i] = Number((v >> BigInt(8 * i)) & 0xffn)
  return b
}

export function encode(v: Item): Bytes {
  if (typeof v === 'number' || typeof v === 'bigint') {
    if (typeof v === 'number' && !Number.isSafeInteger(v)) throw new Error(`${v} is not an integer`)
    const n = BigInt(v)
    return n >= 0n ? head(kind.uint, n) : head(kind.neg, -1n - n)
  }
  if (typeof v === 'string') {
    const b = text(v)
    return concat(head(kind.text, b.length), b)
  }
  if (v instanceof Uint8Array) return concat(head(kind.bytes, v.length), v)
  if (Array.isArray(v)) return concat(head(kind.array, v.length), ...v.map(encode))
  if (v instanceof Map) {
    const pairs = [...v].map(([k, x]) => [encode(k), encode(x)] as const).sort(([a], [b]) => compare(a, b))
    return concat(head(kind.map, pairs.length), ...pairs.flat())
  }
  if (v === null) return new Uint8Array([0xf6])
  return new Uint8Array([v ? 0xf5 : 0xf4])
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** Decodes one item and nothing after it. A depth and the input's length bound the work. */
export function decode(b: Uint8Array): Item {
  const r = new Reader(b)
  const v = r.item(0)
  if (r.at !== b.length) throw new Error('bytes follow the item')
  return v
}

class Reader {
  at = 0
  private b: Uint8Array
  constructor(b: Uint8Array) {
    this.b = b
  }

  head(): [number, bigint] {
    const first = this.cut(1)[0]!
    const info = first & 31
    if (info < 24) return [first >> 5, BigInt(info)]
    if (info > 27) throw new Error('an item of unknown length')
    const size = 1 << (info - 24)
    let n = 0n
    for (const x of this.cut(size)) n = (n << 8n) | BigInt(x)
    if (n < 24n || (size > 1 && n >> BigInt(4 * size) === 0n)) throw new Error('a number is not in its shortest form')
    return [first >> 5, n]
  }

  cut(n: number): Uint8Array {
    if (n > this.b.length - this.at) throw new Error('the bytes end early')
    this.at += n
    return this.b.subarray(this.at - n, this.at)
  }

  item(depth: number): Item {
    if (depth > 8) throw new Error('nested too deeply')
    if (this.b[this.at]! >= 0xf4 && this.b[this.at]! <= 0xf6) return [false, true, null][this.cut(1)[0]! - 0xf4]!
    const [major, n] = this.head()
    switch (major) {
      case kind.uint:
        return small(n)
      case kind.neg:
        return small(-1n - n)
      case kind.bytes:
        return this.cut(Number(n)).slice()
      case kind.text:
        return readText(this.cut(Number(n)))
      case kind.array: {
        const out: Item[] = []
        for (let i = 0n; i < n; i++) out.push(this.item(depth + 1))
        return out
      }
      case kind.map:
        return this.map(n, depth)
    }
    throw new Error('an item of an unexpected kind')
  }

  private map(n: bigint, depth: number): Item {
    const out = new Map<number | string, Item>()
    let last: Uint8Array | undefined
    for (let i = 0n; i < n; i++) {
      const from = this.at
      const k = this.item(depth + 1)
      const raw = this.b.subarray(from, this.at)
      if (typeof k !== 'number' && typeof k !== 'string') throw new Error('a key of an unexpected kind')
      if (last && compare(last, raw) >= 0) throw new Error('keys are not in order, or repeated')
      last = raw
      out.set(k, this.item(depth + 1))
    }
    return out
  }
}

const small = (n: bigint): number | bigint => (n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n)
