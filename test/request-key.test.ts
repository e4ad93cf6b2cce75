// Keys of requests: where they are found, and what hostile clients send in their place.
import { expect, it } from 'vitest'
import type { PickRequest } from '../src/request.ts'
import { keyOf, keySchema } from '../src/request-key.ts'

const request: PickRequest = {
  path: '/a/b?x=1&user=%zz&user=2&y',
  headers: { 'x-user': 'ann', cookie: 'lb=one; session="a=b"; session=2; empty=', 'x-many': ['first', 'second'] },
  client: { address: '10.0.0.1' },
}

it.each([
  ['client', '10.0.0.1'],
  ['path', '/a/b'],
  [{ header: 'X-User' }, 'ann'],
  [{ header: 'x-many' }, 'first'],
  [{ header: 'x-none' }, undefined],
  [{ header: 'constructor' }, undefined],
  [{ cookie: 'session' }, '"a=b"'],
  [{ cookie: 'lb' }, 'one'],
  [{ cookie: 'empty' }, ''],
  [{ cookie: 'ession' }, undefined],
  [{ query: 'user' }, '%zz'],
  [{ query: 'x' }, '1'],
  [{ query: 'y' }, undefined],
  [({ path }: PickRequest) => path?.slice(0, 2), '/a'],
  [() => 7, undefined],
] as const)('%j is %j', (source, key) => {
  expect(keyOf(request, keySchema.parse(source))).toBe(key)
})

it.each(['client', 'path', { header: 'x' }, { cookie: 'x' }, { query: 'x' }] as const)(
  '%j of a request that says nothing is none',
  (source) => {
    for (const bare of [{}, { headers: {}, path: '', client: {} }, { path: '?', headers: { cookie: ';;=;x' } }])
      expect(keyOf(bare, keySchema.parse(source)) ?? '').toBe('')
  },
)

it.each(['host', {}, { header: '' }, { header: 'a b' }, { cookie: 'a;b' }, { header: 'x', cookie: 'y' }, 7, null])(
  '%j is refused',
  (source) => {
    expect(keySchema.safeParse(source).success).toBe(false)
  },
)

it('64 KB of cookies are looked through once', () => {
  const cookie = `${'a='.repeat(32_000)}; ${'b;'.repeat(1000)} user=7`
  expect(keyOf({ headers: { cookie } }, { cookie: 'user' })).toBe('7')
})
