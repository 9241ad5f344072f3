// The page's languages, numbers and dates.

import { en } from './words.en.ts'
import { fr } from './words.fr.ts'

const all = { en, fr }
export type Key = keyof typeof en
type Language = keyof typeof all

const chosen = localStorage.getItem('language')
let language = $state<Language>(chosen === 'fr' || (chosen === null && navigator.language.startsWith('fr')) ? 'fr' : 'en')

export const current = (): Language => language

export function other(): void {
  language = language === 'en' ? 'fr' : 'en'
  localStorage.setItem('language', language)
}

/** A text in the language that is chosen, with its {names} filled in. */
export const t = (key: Key, values: Record<string, string | number> = {}): string =>
  all[language][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''))

/** The same for a name that the ledger gives, which may have no text here: then it stands for itself. */
export const tOr = (key: string, otherwise: string): string => (key in en ? t(key as Key) : otherwise)

const AIM = 1_000_000

/** uaim as AIM, all digits that matter. */
export function coins(uaim: number): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 6 }).format(uaim / AIM) + ' AIM'
}

/** A change of a balance, with its sign. */
export const change = (uaim: number): string => (uaim < 0 ? '−' : '+') + coins(Math.abs(uaim))

/** Reads AIM as a person writes them; NaN if it is no amount. */
export function readCoins(s: string | number): number {
  const m = /^(\d{1,9})(?:[.,](\d{1,6}))?$/.exec(String(s).trim())
  return m ? Number(m[1]) * AIM + Number((m[2] ?? '').padEnd(6, '0')) : NaN
}

export const number = (n: number): string => new Intl.NumberFormat(language).format(n)
export const brief = (n: number): string => new Intl.NumberFormat(language, { maximumSignificantDigits: 3, notation: 'compact' }).format(n)
export const date = (ms: number): string => new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(ms)
export const percent = (bps: number): string => new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 2 }).format(bps / 10_000)
export const share = (part: number): string => new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 }).format(part)
export const clock = (ms: number): string => new Intl.DateTimeFormat(language, { timeStyle: 'medium' }).format(ms)
/** Times of day for the marks of a chart that are so many seconds apart; the day itself where days are. */
export const marks = (seconds: number[], apart: number): string[] => {
  const as: Intl.DateTimeFormatOptions = apart >= 86_400 ? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit', second: apart < 60 ? '2-digit' : undefined, hourCycle: 'h23' }
  const format = new Intl.DateTimeFormat(language, as)
  return seconds.map((s) => format.format(s * 1000))
}
