// The checker of proofs: Go built for browsers (web/certificate), loaded when it is first wanted.

import type { Bytes } from './bytes.ts'

/** What the checker has found of a picture that is what its receipt says. */
export interface Found { ok: boolean; error?: string; ms: number }

interface Checker {
  essaimKey(b: Uint8Array): { ok: boolean; error?: string }
  essaimCheck(p: { picture: Uint8Array; receipt: Uint8Array; proof: Uint8Array; prompt: string }): Found
  Go: new () => { importObject: WebAssembly.Imports; run(i: WebAssembly.Instance): Promise<void> }
}

const scope = globalThis as unknown as Checker

let loading: Promise<void> | undefined
let loaded = '' // the model whose key the checker has

const script = (url: string): Promise<void> =>
  new Promise((ok, fail) => {
    const s = document.createElement('script')
    s.src = url
    s.onload = () => ok()
    s.onerror = () => fail(new Error(`${url} cannot be loaded`))
    document.head.append(s)
  })

async function load(): Promise<void> {
  await script('./check/wasm_exec.js')
  const go = new scope.Go()
  const { instance } = await WebAssembly.instantiateStreaming(fetch('./check/checker.wasm'), go.importObject)
  const ready = new Promise<void>((ok) => document.addEventListener('essaim', () => ok(), { once: true }))
  void go.run(instance)
  await ready
}

/** Makes the checker ready for a model; false: proofs of this model cannot be checked here. */
export async function ready(model: string): Promise<boolean> {
  try {
    const key = await fetch(`./essaim/v1/proofs/keys/${model}`)
    if (!key.ok) return false
    await (loading ??= load())
    if (loaded === model) return true
    if (!scope.essaimKey(new Uint8Array(await key.arrayBuffer())).ok) return false
    loaded = model
    return true
  } catch {
    loading = undefined // the next time it may succeed
    return false
  }
}

/** Checks that the model draws this picture of this prompt. The checker must be ready for the model. */
export function check(picture: Uint8Array, receipt: Uint8Array, proof: Uint8Array, prompt: string): Found {
  return scope.essaimCheck({ picture: picture as Bytes, receipt: receipt as Bytes, proof: proof as Bytes, prompt })
}
