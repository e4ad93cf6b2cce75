// Card numbers in text: found however they are written, and nothing else taken for one.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withoutCards } from '../../src/audit/cards.ts'

/** Numbers that payment services publish for tests. */
const published = {
  Visa: '4111111111111111',
  'Visa of 13 digits': '4222222222222',
  Mastercard: '5555555555554444',
  'Mastercard of the new range': '2223003122003222',
  'American Express': '378282246310005',
  Discover: '6011111111111117',
  'Diners Club': '30569309025904',
  JCB: '3530111333300000',
  UnionPay: '6200000000000005',
  Maestro: '6759649826438453',
  Mir: '2200000000000004',
}

const told = (number: string): string => `[card*${number.slice(-4)}]`
const fours = (number: string): string[] => number.match(/\d{1,4}/g)!

/** A number with the right check digit. */
function withCheckDigit(start: string, length: number, draw: (i: number) => number): string {
  let digits = start
  for (let i = start.length; i < length - 1; i++) digits += String(draw(i) % 10)
  for (let check = 0; check < 10; check++) {
    const number = `${digits}${check}`
    const sum = [...number].reverse().reduce((all, digit, i) => {
      const value = Number(digit) * (i % 2 === 0 ? 1 : 2)
      return all + (value > 9 ? value - 9 : value)
    }, 0)
    if (sum % 10 === 0) return number
  }
  throw new Error('there is always one')
}

describe('a card number', () => {
  it.each(Object.entries(published))('is found: %s', (_, number) => {
    expect(withoutCards(number)).toBe(told(number))
    expect(withoutCards(`pan=${number}&x=1`)).toBe(`pan=${told(number)}&x=1`)
    for (const separator of [' ', '-', '+', '%20', '%2D', '%2d', '%2B', '%2520'])
      expect(withoutCards(`<${fours(number).join(separator)}>`)).toBe(`<${told(number)}>`)
  })

  const visa = published.Visa
  const escaped = [...visa].map((digit) => `%3${digit}`).join('')
  it.each([
    ['behind letters', `card${visa}`, `card${told(visa)}`],
    ['behind letters that are hexadecimal digits', `cafe${visa}`, `cafe${told(visa)}`],
    ['before letters', `${visa}xyz`, `${told(visa)}xyz`],
    ['behind an escape', `/pay%2F${visa}%3Dx`, `/pay%2F${told(visa)}%3Dx`],
    ['behind the escape of an escape', `%252F${visa}`, `%252F${told(visa)}`],
    ['behind an escaped percent sign', `%25${visa}`, `%25${told(visa)}`],
    ['escaped whole', `/p/${escaped}/`, `/p/${told(visa)}/`],
    ['escaped twice', escaped.replaceAll('%', '%25'), told(visa)],
    ['escaped in part', '4111%3111111111111', told(visa)],
    ['behind a percent sign', `100%${visa}`, `100%${told(visa)}`],
    ['behind the escape of a sign', `/u%40${visa}`, `/u%40${told(visa)}`],
    ['behind that of one that is escaped', `%2540${visa}`, `%2540${told(visa)}`],
    ['twice', `${visa} ${visa},${visa}`, `${told(visa)} ${told(visa)},${told(visa)}`],
    ['behind other numbers', `2026-11-28 12 ${visa}`, `2026-11-28 12 ${told(visa)}`],
    ['before other numbers', `${visa} 12/29 123`, `${told(visa)} 12/29 123`],
    ['in JSON', `{"pan":${visa}}`, `{"pan":${told(visa)}}`],
    ['in groups of other sizes', '3782 822463 10005', told(published['American Express'])],
    ['digit by digit', [...visa].join(' '), told(visa)],
  ])('is found %s', (_, text, expected) => {
    expect(withoutCards(text)).toBe(expected)
  })

  it.each([
    ['with another check digit', '4111111111111112'],
    ['of nobody', '1234567812345670'],
    ['of another length', '411111111111116'],
    ['within a longer number', `${published.Visa}0`],
    ['with two separators', '4111  1111  1111  1111'],
    ['in a hash', `a${published.Visa}f0bad3e7`],
    ['in a UUID', '4bf92f35-77b3-4da6-4111-111111111111'.replace('4da6-4111', '4111-1111')],
    ['in a traceparent', `00-${'4bf92f3577b34da6a3ce929d0e0e4736'}-${published.Visa}-01`],
    ['as a time', '1764356265123'],
    ['as a version', 'Chrome/126.0.0.0 Safari/537.36'],
  ])('is not seen in a number %s', (_, text) => {
    expect(withoutCards(text)).toBe(text)
  })

  it('is found in any text, with any separators', () => {
    const digit = fc.nat({ max: 9 })
    const around = fc.string({ unit: fc.constantFrom('x', 'z', '/', '=', '&', ':', '%2F', '%40', '.', '"') })
    const separators = fc.array(fc.constantFrom('', '', '', ' ', '-', '%20', '+', '%2D'), {
      minLength: 19,
      maxLength: 19,
    })
    const issued = fc.constantFrom(
      ['4', 16] as const,
      ['4', 13] as const,
      ['4', 19] as const,
      ['51', 16] as const,
      ['34', 15] as const,
      ['6011', 16] as const,
      ['62', 19] as const,
      ['3528', 16] as const,
    )
    fc.assert(
      fc.property(
        issued,
        fc.array(digit, { minLength: 19, maxLength: 19 }),
        separators,
        around,
        around,
        fc.boolean(),
        ([start, length], digits, between, before, after, escapes) => {
          const number = withCheckDigit(start, length, (i) => digits[i]!)
          const written = [...number]
            .map((one, i) => `${escapes ? `%3${one}` : one}${i === number.length - 1 ? '' : between[i]}`)
            .join('')
          const kept = withoutCards(`${before}${written}${after}`)
          expect(kept).toContain(told(number))
          expect(kept.replace(/%3(\d)/g, '$1').replace(/%20|%2D|[ +-]/gi, '')).not.toContain(number)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('changes no text that holds none', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('0', '1', '7', 'a', 'f', '-', ' ', '%', '2', '5', '3') }),
        (text) => {
          const kept = withoutCards(text)
          if (kept !== text) expect(kept).toMatch(/\[card\*\d{4}\]/)
          else expect(kept).toBe(text)
        },
      ),
    )
    // Long, and made to be gone through over and over.
    for (const text of ['4 '.repeat(50_000), '%25'.repeat(50_000), '4'.repeat(100_000), '%2525'.repeat(20_000)])
      expect(withoutCards(text).length).toBeGreaterThan(0)
  })
})
