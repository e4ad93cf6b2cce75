// mayRetry: the whole table.
import { expect, it } from 'vitest'
import { type AttemptFailure, attemptResults } from '../../src/outcome.ts'
import { mayRetry, retrySchema } from '../../src/routing/retry.ts'

const config = retrySchema.parse({})
const failure = (result: AttemptFailure['result'], sent: boolean): AttemptFailure => ({ result, sent, detail: 'x' })
const get = { method: 'GET', attempts: 1, replayable: true }

it('has the defaults that the design names', () => {
  expect(config).toEqual({ retries: 2, methods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'] })
})

it.each([
  // method, sent, replayable, attempts so far, retried
  ['GET', true, true, 1, true],
  ['GET', true, true, 2, true],
  ['GET', true, true, 3, false],
  ['GET', false, true, 3, false],
  ['GET', true, false, 1, false],
  ['GET', false, false, 1, false],
  ['POST', true, true, 1, false],
  ['POST', false, true, 1, true],
  ['POST', false, false, 1, false],
  ['PATCH', true, true, 1, false],
  ['PUT', true, true, 1, true],
  ['DELETE', true, true, 1, true],
  ['get', true, true, 1, false],
])('%s, sent %s, replayable %s, attempt %i: %s', (method, sent, replayable, attempts, expected) => {
  expect(mayRetry(config, failure('backend-reset', sent), { method, attempts, replayable })).toBe(expected)
})

it('retries every failure but those that are not the backend’s', () => {
  const failures = attemptResults.filter((result) => result !== 'ok' && result !== 'hedge-lost')
  const never = failures.filter((result) => !mayRetry(config, failure(result, true), get))
  expect(never).toEqual(['client-gone', 'internal'])
})

it('goes by the options', () => {
  expect(mayRetry({ ...config, retries: 0 }, failure('connect-refused', false), get)).toBe(false)
  expect(mayRetry({ ...config, methods: ['POST'] }, failure('backend-reset', true), get)).toBe(false)
  expect(mayRetry({ ...config, methods: ['POST'] }, failure('backend-reset', true), { ...get, method: 'POST' })).toBe(
    true,
  )
})
