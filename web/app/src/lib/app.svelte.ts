// What all of the page shares: the gateway, the network's head, the account and its session.

import * as account from './account.ts'
import { type Actor, Gateway, type Head, type Info, type Model, type Person, Refused } from './gateway.ts'
import type { KeyFile } from './keyfile.ts'
import type { Message } from './ledger.ts'
import { SessionBook } from './session.ts'
import { forgetKey, type KeptKey, type KeptSession } from './store.ts'

const LOOK = 4000 // ms between looks at the network
const DEPOSIT = 1_000_000 // uaim: what a session begins with if nobody says

class App {
  readonly gateway = new Gateway()
  info = $state.raw<Info>()
  head = $state.raw<Head>()
  offline = $state(false)
  kept = $state.raw<KeptKey>()
  person = $state.raw<Person>()
  session = $state.raw<KeptSession>()
  deposit = $state(DEPOSIT)
  asked = $state.raw<{ message?: Message; text: string; answer: (yes: boolean) => void }>() // a text that waits to be signed
  ready = $state(false)

  private signer = $state.raw<account.Signer>()
  private book: SessionBook | undefined

  get address(): string | undefined {
    return this.kept?.address
  }
  get locked(): boolean {
    return this.kept !== undefined && this.signer === undefined
  }
  get models(): Model[] {
    return (this.info?.models ?? []).filter((m) => m.kind === 'image')
  }
  get talkers(): Model[] {
    return (this.info?.models ?? []).filter((m) => m.kind === 'text.chat')
  }

  async start(): Promise<void> {
    const k = await account.kept()
    if (k) this.use(k)
    this.ready = true
    for (;;) {
      await this.look()
      await new Promise((ok) => setTimeout(ok, LOOK))
    }
  }

  /** Looks at the network, once. */
  async look(): Promise<void> {
    try {
      ;[this.info, this.head] = await Promise.all([this.gateway.info(), this.gateway.head()])
      if (this.address) await this.lookAtAccount()
      this.offline = false
    } catch {
      this.offline = true
    }
  }

  async lookAtAccount(): Promise<void> {
    if (!this.address || !this.info) return
    this.person = await this.gateway.account(this.address)
    this.session = (await this.book?.current(this.info)) ?? undefined
    if (this.session) this.session = { ...this.session }
  }

  private use(k: { kept: KeptKey; signer?: account.Signer }): void {
    this.kept = k.kept
    this.signer = k.signer
    this.book = k.signer && new SessionBook(this.gateway, k.signer)
    this.person = undefined
    this.session = undefined
  }

  async create(): Promise<void> {
    this.use(await account.create())
    await this.look()
  }
  async connect(w: account.Wallet): Promise<void> {
    this.use(await account.connect(w))
    await this.look()
  }
  async take(file: KeyFile, passphrase: string): Promise<void> {
    this.use(await account.imported(file, passphrase))
    await this.look()
  }
  async unlock(passphrase: string): Promise<void> {
    if (this.kept?.how !== 'passphrase') return
    this.use({ kept: this.kept, signer: await account.open(this.kept.file, passphrase) })
    await this.look()
  }
  async protect(passphrase: string): Promise<void> {
    const signer = this.signer
    this.use({ kept: await account.protect(this.kept!, passphrase), signer })
    await this.look()
  }
  exported = (passphrase: string): Promise<KeyFile> => account.exported(this.kept!, passphrase)

  async forget(): Promise<void> {
    await forgetKey()
    this.kept = this.signer = this.person = this.session = this.book = undefined
  }

  async faucet(): Promise<number> {
    const { amount } = await this.gateway.faucet(this.address!)
    await this.lookAtAccount()
    return amount
  }

  /** Signs and sends; a person has agreed by then: to the button's words, or to the wallet's text. */
  async transact(m: Message): Promise<{ hash: string }> {
    const { tx } = await account.transact(this.gateway, this.needSigner(), m, this.agree)
    await this.lookAtAccount()
    return tx
  }

  /** Shows the text and waits for an answer. */
  agree = (message: Message, text: string): Promise<boolean> => {
    if (this.kept?.how === 'ethereum') return Promise.resolve(true) // the wallet shows it
    return this.ask(text, message)
  }

  /** Signs a text that a person has read, as wallets do. undefined: the person has refused. */
  async signText(text: string): Promise<Uint8Array | undefined> {
    const signer = this.needSigner()
    if (this.kept?.how !== 'ethereum' && !(await this.ask(text))) return undefined
    return signer.sign(text)
  }

  private ask = (text: string, message?: Message): Promise<boolean> =>
    new Promise((ok) => {
      this.asked = {
        ...(message && { message }),
        text,
        answer: (yes) => {
          this.asked = undefined
          ok(yes)
        },
      }
    })

  needSigner(): account.Signer {
    if (!this.signer) throw new Refused('refused', 'the account is locked', 'unlock it in the wallet')
    return this.signer
  }
  needBook(): SessionBook {
    this.needSigner()
    return this.book!
  }

  left(): number {
    return this.session && this.book ? this.book.left(this.session) : 0
  }
}

export const app = new App()

/** What went wrong, for people. */
export function explain(e: unknown): { message: string; hint: string } {
  if (e instanceof Refused) return { message: e.message, hint: e.hint }
  return { message: e instanceof Error ? e.message : String(e), hint: '' }
}

export const active = (a: Actor, height: number): 'active' | 'retired' | 'jailed' | 'away' =>
  a.retired_at ? 'retired' : a.jailed_until ? 'jailed' : a.away_from && a.away_from <= height && height < a.away_until ? 'away' : 'active'
