// `Retry-After` of a response (RFC 9110 section 10.2.3): seconds, or a date in one of the three forms of section 5.6.7.
import { valueIn } from './headers.ts'

/** What a backend can ask for at most: beyond a day it is a mistake, or malice. */
const mostMs = 86_400_000

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const time = String.raw`(\d\d):(\d\d):(\d\d)`
const preferred = new RegExp(`^[A-Z][a-z]{2}, (\\d\\d) ([A-Z][a-z]{2}) (\\d{4}) ${time} GMT$`)
const ofRfc850 = new RegExp(`^[A-Z][a-z]{5,8}, (\\d\\d)-([A-Z][a-z]{2})-(\\d\\d) ${time} GMT$`)
const ofAsctime = new RegExp(`^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \\d]\\d) ${time} (\\d{4})$`)

/** In ms from `now`; 0 for a time that is past, undefined where there is none that can be understood. */
export function retryAfterMs(headers: readonly string[], now: number): number | undefined {
  const value = valueIn(headers, 'retry-after')?.trim()
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, mostMs)
  const at = dateOf(value, now)
  return at === undefined ? undefined : Math.min(Math.max(0, at - now), mostMs)
}

function dateOf(value: string, now: number): number | undefined {
  const found = preferred.exec(value) ?? ofRfc850.exec(value)
  if (found !== null) {
    const [, day, month, year, ...clock] = found
    return utc(year!.length === 2 ? nearCentury(Number(year), now) : Number(year), month!, day!, clock)
  }
  const old = ofAsctime.exec(value)
  if (old === null) return undefined
  const [, month, day, hours, minutes, seconds, year] = old
  return utc(Number(year), month!, day!, [hours!, minutes!, seconds!])
}

/** A year of two digits that would be more than 50 years ahead is the latest one in the past that ends so. */
function nearCentury(digits: number, now: number): number {
  const current = new Date(now).getUTCFullYear()
  const year = current - (current % 100) + digits
  return year > current + 50 ? year - 100 : year
}

function utc(year: number, month: string, day: string, clock: readonly string[]): number | undefined {
  const place = months.indexOf(month)
  const [hours, minutes, seconds] = clock.map(Number) as [number, number, number]
  // A leap second is 60.
  if (place === -1 || hours > 23 || minutes > 59 || seconds > 60) return undefined
  const at = new Date(0)
  at.setUTCFullYear(year, place, Number(day))
  if (at.getUTCDate() !== Number(day)) return undefined
  return at.setUTCHours(hours, minutes, seconds, 0)
}
