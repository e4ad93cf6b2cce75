// RFC 8785: one form for each value.
import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonical, type Json, Written } from '../src/canonical.ts'
import { arbitraryOf } from './support/arbitrary-event.ts'
import { shippedSchema } from './support/schemas.ts'

it('orders keys by UTF-16 code units, at every depth (the example of RFC 8785 section 3.2.3)', () => {
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    '1': 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  }
  expect(Object.values(JSON.parse(canonical(value)))).toHaveLength(7)
  expect([...canonical(value).matchAll(/:"([A-Z]\w+)/g)].map(([, word]) => word)).toEqual([
    'Carriage',
    'One',
    'Control',
    'Latin',
    'Euro',
    'Emoji',
    'Hebrew',
  ])
  expect(canonical({ b: [{ z: 1, a: 2 }], a: { d: null, c: true } })).toBe(
    '{"a":{"c":true,"d":null},"b":[{"a":2,"z":1}]}',
  )
})

it.each<[Json, string]>([
  [{ '10': 1, '9': 2 }, '{"10":1,"9":2}'],
  [{ a: undefined, b: [] }, '{"b":[]}'],
  [{}, '{}'],
  [-0, '0'],
  [1e21, '1e+21'],
  [9007199254740991, '9007199254740991'],
  ['\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'],
  ['<script>\u2028', '"<script>\u2028"'],
])('%j', (value, text) => {
  expect(canonical(value)).toBe(text)
})

it('refuses what JSON cannot hold', () => {
  for (const value of [
    Number.NaN,
    Infinity,
    1n,
    () => 1,
    Symbol('x'),
    undefined,
    [undefined],
    new Array(1),
    { a: [Number.NaN] },
  ]) {
    expect(() => canonical(value as never)).toThrow(TypeError)
    expect(() => canonical({ b: 1, a: [value] } as never)).toThrow(TypeError)
  }
})

it('says the same whatever the order of the keys, and reads back as the same value', () => {
  const json = fc.jsonValue({ stringUnit: 'grapheme' })
  fc.assert(
    fc.property(json, (value) => {
      const text = canonical(value as Json)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(canonical(reversed(value) as Json)).toBe(text)
      expect(canonical(JSON.parse(text))).toBe(text)
    }),
  )
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  )
}

it('is what the canonicalize package makes of any JSON value, and of any event', () => {
  const value = fc.jsonValue({ maxDepth: 4 }).map((one) => JSON.parse(JSON.stringify(one).toWellFormed()) as Json)
  fc.assert(
    fc.property(value, (one) => {
      expect(canonical(one)).toBe(canonicalize(one))
    }),
    { numRuns: 500 },
  )
  const events = Object.values(shippedSchema('event').$defs as Record<string, object>)
  fc.assert(
    fc.property(fc.oneof(...events.map((schema) => arbitraryOf(schema))), (event) => {
      expect(canonical(event as Json)).toBe(canonicalize(event))
    }),
    { numRuns: 1000 },
  )
})

it('takes what is written already as it stands, and others take it for what it says', () => {
  const value = { b: new Written('{"a":[1]}'), a: 1 } as unknown as Json
  expect(canonical(value)).toBe('{"a":1,"b":{"a":[1]}}')
  expect(JSON.parse(JSON.stringify(value))).toEqual({ a: 1, b: { a: [1] } })
})
