// Keys: read from where they stand, and never a throw for what a client sends.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PickRequest } from '../../../src/request.ts'
import { keyHash, keySchema } from '../../../src/strategies/hash/key.ts'
import { murmur3 } from '../../../src/strategies/hash/murmur3.ts'

const hashWith = (key: unknown, request: PickRequest): number | undefined => keyHash(keySchema.parse(key))(request)
const hashOf = (text: string): number => murmur3(text, 0)

describe.each<[unknown, PickRequest, string | undefined]>([
  ['path', { path: '/a/b?x=1' }, '/a/b'],
  ['path', { path: '/a/b' }, '/a/b'],
  ['path', { path: '/%zz%e2%28' }, '/%zz%e2%28'],
  ['path', { path: '?x=1' }, undefined],
  ['path', { path: '' }, undefined],
  ['path', {}, undefined],
  ['client', { client: { address: '10.0.0.1' } }, '10.0.0.1'],
  ['client', { client: { address: '' } }, undefined],
  ['client', { client: {} }, undefined],
  ['client', {}, undefined],
  [{ header: 'x-user' }, { headers: { 'x-user': 'ann' } }, 'ann'],
  [{ header: 'X-User' }, { headers: { 'x-user': 'ann' } }, 'ann'],
  [{ header: 'x-user' }, { headers: { 'x-user': ['', 'ann', 'bob'] } }, 'ann'],
  [{ header: 'x-user' }, { headers: { 'x-user': [] } }, undefined],
  [{ header: 'x-user' }, { headers: { 'x-user': '' } }, undefined],
  [{ header: 'x-user' }, { headers: {} }, undefined],
  [{ header: 'x-user' }, {}, undefined],
  [{ header: 'constructor' }, { headers: {} }, undefined],
  [{ header: '__proto__' }, { headers: {} }, undefined],
  [{ cookie: 'sid' }, { headers: { cookie: 'sid=1' } }, '1'],
  [{ cookie: 'sid' }, { headers: { cookie: 'a=0; sid=1; b=2' } }, '1'],
  [{ cookie: 'sid' }, { headers: { cookie: 'sids=0;\t sid=1 ;sid=2' } }, '1'],
  [{ cookie: 'sid' }, { headers: { cookie: 'sid=a=b; c=d' } }, 'a=b'],
  [{ cookie: 'sid' }, { headers: { cookie: 'SID=1' } }, undefined],
  [{ cookie: 'sid' }, { headers: { cookie: 'sid; sid=' } }, undefined],
  [{ cookie: 'sid' }, { headers: { cookie: 'xsid=1' } }, undefined],
  [{ cookie: 'sid' }, { headers: { cookie: ['a=1', 'sid=2'] } }, '2'],
  [{ cookie: 'sid' }, { headers: { cookie: ' ;;; = ;' } }, undefined],
  [{ cookie: 'sid' }, { headers: {} }, undefined],
  [{ query: 'id' }, { path: '/a?id=7' }, '7'],
  [{ query: 'id' }, { path: '/a?x=1&id=7&id=8' }, '7'],
  [{ query: 'id' }, { path: '/a?xid=1&id=%zz' }, '%zz'],
  [{ query: 'id' }, { path: '/a?id=7#id=8' }, '7'],
  [{ query: 'id' }, { path: '/a#?id=8' }, undefined],
  [{ query: 'id' }, { path: '/id=7' }, undefined],
  [{ query: 'id' }, { path: '/a?id' }, undefined],
  [{ query: 'id' }, { path: '/a?id=' }, undefined],
  [{ query: 'id' }, { path: '/a?' }, undefined],
  [{ query: 'id' }, {}, undefined],
  [() => 'ann', {}, 'ann'],
  [() => '', {}, undefined],
  [() => undefined, {}, undefined],
  [(request: PickRequest) => request.path?.split('/')[1], { path: '/tenant/x' }, 'tenant'],
])('the key %j of %j', (key, request, text) => {
  it(`is ${text === undefined ? 'absent' : JSON.stringify(text)}`, () => {
    expect(hashWith(key, request)).toBe(text === undefined ? undefined : hashOf(text))
  })
})

it('a function that returns something else than text is told so', () => {
  expect(() => hashWith(() => 5, {})).toThrow(
    new TypeError('the key function returned a number: expected text, or undefined for no key'),
  )
})

it('reads a cookie as a plain reading of the header does, for any header', () => {
  const part = fc.string({ unit: fc.constantFrom('s', 'i', 'd', '=', ';', ' ', '1', '\ud800') })
  fc.assert(
    fc.property(part, (cookie) => {
      const pair = cookie
        .split(';')
        .map((one) => one.replace(/^[ \t]+|[ \t]+$/g, ''))
        .find((one) => one.startsWith('sid='))
      const value = pair?.slice(4)
      const expected = value === undefined || value === '' ? undefined : hashOf(value)
      expect(hashWith({ cookie: 'sid' }, { headers: { cookie } })).toBe(expected)
    }),
    { numRuns: 5000 },
  )
})

it('reads a parameter as a plain reading of the query does, for any path', () => {
  const part = fc.string({ unit: fc.constantFrom('i', 'd', '=', '&', '?', '#', '%', '1') })
  fc.assert(
    fc.property(part, (path) => {
      const [before = ''] = path.split('#')
      const at = before.indexOf('?')
      const pairs = at === -1 ? [] : before.slice(at + 1).split('&')
      const value = pairs.find((one) => one.startsWith('id='))?.slice(3)
      const expected = value === undefined || value === '' ? undefined : hashOf(value)
      expect(hashWith({ query: 'id' }, { path })).toBe(expected)
    }),
    { numRuns: 5000 },
  )
})

describe('what is hostile', () => {
  const long = 'a;'.repeat(32_768)
  it.each<[string, unknown, PickRequest]>([
    ['64 KB of cookies, and the key last', { cookie: 'sid' }, { headers: { cookie: `${long}sid=1` } }],
    ['64 KB of a query, and the key last', { query: 'sid' }, { path: `/?${'a&'.repeat(32_768)}sid=1` }],
  ])('%s, is read', (_, key, request) => {
    expect(hashWith(key, request)).toBe(hashOf('1'))
  })

  it('whatever stands where text should be, it is no key and no throw', () => {
    const any = fc.anything()
    const keys = ['path', 'client', { header: 'x' }, { cookie: 'x' }, { query: 'x' }]
    fc.assert(
      fc.property(any, any, any, any, (path, x, cookie, address) => {
        const request = { path, headers: { x, cookie }, client: { address } } as PickRequest
        for (const key of keys) expect(['number', 'undefined']).toContain(typeof hashWith(key, request))
      }),
    )
  })
})

describe.each<[unknown, string]>([
  ['cookie', 'expected '],
  [5, 'expected '],
  [{ header: 'a b' }, 'expected a name'],
  [{ cookie: '' }, 'expected a name'],
  [{ query: 'a=b' }, 'expected the name of a parameter'],
])('as a key, %j', (key, message) => {
  it('is refused', () => {
    const text = JSON.stringify(keySchema.safeParse(key).error?.issues)
    expect(text).toContain(message)
  })
})
