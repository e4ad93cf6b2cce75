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

it.each(['client', 'path', { header: 'x' }, { cookie: 'x' }, { query: 'x' }] as const)(
  'a request that is none, or has no text where text belongs, has no key by %j',
  (source) => {
    const requests = [
      null,
      5,
      { path: 5 },
      { path: null },
      { headers: null },
      { client: null },
      { client: { address: 5 } },
    ]
    const headers = [
      { x: null, cookie: null },
      { x: 5, cookie: 5 },
      { x: [], cookie: [] },
      { x: {}, cookie: {} },
    ]
    for (const given of [...requests, ...headers.map((one) => ({ headers: one }))])
      expect(keyOf(given as unknown as PickRequest, keySchema.parse(source))).toBeUndefined()
  },
)

it('a promise is no key, and nobody has to handle that it rejects', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const key = (async () => Promise.reject(new Error('none'))) as unknown as () => string
  expect(keyOf(request, key)).toBeUndefined()
  // Rejections are told of once all microtasks are done.
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})
