// What may follow an attempt: the whole table.
import { expect, it } from 'vitest'
import { attemptResults } from '../../src/outcome.ts'
import { type RetryFacts, retryDenial, retrySchema } from '../../src/routing/retry.ts'

const config = retrySchema.parse({})
const get: RetryFacts = { method: 'GET', result: 'backend-reset', sent: true, retries: 0, replayable: true }

it('has the defaults that the docs name', () => {
  expect(config).toEqual({
    retries: 2,
    methods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'],
    statuses: [],
    bodyBytes: 65_536,
    budget: { percent: 20, minPerSecond: 10 },
  })
})

it.each([
  // method, sent, replayable, retries so far, why not
  ['GET', true, true, 0, undefined],
  ['GET', true, true, 1, undefined],
  ['GET', true, true, 2, 'limit'],
  ['GET', false, true, 2, 'limit'],
  ['GET', true, false, 0, 'body'],
  ['GET', false, false, 0, 'body'],
  ['POST', true, true, 0, 'method'],
  ['POST', true, false, 0, 'method'],
  ['POST', false, true, 0, undefined],
  ['POST', false, false, 0, 'body'],
  ['PATCH', true, true, 0, 'method'],
  ['PUT', true, true, 0, undefined],
  ['DELETE', true, true, 0, undefined],
  ['get', true, true, 0, 'method'],
] as const)('%s, sent %s, replayable %s, %i retries: %s', (method, sent, replayable, retries, expected) => {
  expect(retryDenial(config, { ...get, method, sent, retries, replayable })).toBe(expected)
})

it('lets every result be followed but those that no other backend can mend', () => {
  const never = attemptResults.filter((result) => retryDenial(config, { ...get, result }) !== undefined)
  expect(never).toEqual(['total-timeout', 'client-gone', 'internal'])
})

it('goes by the options', () => {
  expect(retryDenial({ ...config, retries: 0 }, { ...get, sent: false })).toBe('limit')
  expect(retryDenial({ ...config, methods: ['POST'] }, get)).toBe('method')
  expect(retryDenial({ ...config, methods: ['POST'] }, { ...get, method: 'POST' })).toBeUndefined()
})
