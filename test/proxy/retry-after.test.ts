// Retry-After: seconds, dates of three forms, and what a hostile backend may say.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { retryAfterMs } from '../../src/proxy/retry-after.ts'

const now = Date.UTC(2026, 10, 22, 10, 0, 0)
const of = (value: string) => retryAfterMs(['Server', 'x', 'Retry-After', value], now)

it.each([
  ['0', 0],
  ['120', 120_000],
  ['007', 7000],
  [' 5 ', 5000],
  ['86400', 86_400_000],
  ['86401', 86_400_000],
  ['99999999999999999999999999', 86_400_000],
  ['9'.repeat(5000), 86_400_000],
])('%s seconds', (value, ms) => {
  expect(of(value)).toBe(ms)
})

it.each([
  ['Sun, 22 Nov 2026 10:00:30 GMT', 30_000],
  ['Sunday, 22-Nov-26 10:00:30 GMT', 30_000],
  ['Sun Nov 22 10:00:30 2026', 30_000],
  ['Sun Nov  1 10:00:30 2026', 0],
  ['Sun, 22 Nov 2026 09:59:59 GMT', 0],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['Fri, 31 Dec 9999 23:59:60 GMT', 86_400_000],
  ['Saturday, 01-Jan-77 00:00:00 GMT', 0],
  ['Tuesday, 01-Jan-75 00:00:00 GMT', 86_400_000],
])('%s', (value, ms) => {
  expect(of(value)).toBe(ms)
})

it.each([
  '',
  '-1',
  '+1',
  '1.5',
  '1e3',
  '0x10',
  '1, 2',
  'soon',
  'Infinity',
  '2026-11-22T10:00:30Z',
  'Sun, 22 Nov 2026 10:00:30 CET',
  'Sun, 32 Nov 2026 10:00:30 GMT',
  'Mon, 30 Feb 2026 10:00:30 GMT',
  'Sun, 22 Nov 2026 24:00:30 GMT',
  'Sun, 22 Now 2026 10:00:30 GMT',
  'Sun Nov 0 10:00:30 2026',
])('%j is none', (value) => {
  expect(of(value)).toBeUndefined()
})

it('is none where there is none', () => {
  expect(retryAfterMs(['Server', 'x'], now)).toBeUndefined()
})

describe('any text', () => {
  it('gives an integer from 0 to a day, or nothing', () => {
    const value = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9]{1,40}$/),
      fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    )
    fc.assert(
      fc.property(value, (text) => {
        const ms = of(text)
        expect(ms === undefined || (Number.isSafeInteger(ms) && ms >= 0 && ms <= 86_400_000)).toBe(true)
      }),
      { numRuns: 500, seed: 7 },
    )
  })
})
