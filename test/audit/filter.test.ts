// The filter of a sink: what it does where it does not do what it should.
import { expect, it } from 'vitest'
import { lineFilter } from '../../src/audit/filter.ts'
import type { Sink } from '../../src/sink.ts'

it.each<[string, () => unknown]>([
  [
    'throws',
    () => {
      throw new Error('no')
    },
  ],
  ['returns a promise', async () => false],
  ['returns a promise that rejects', () => Promise.reject(new Error('no'))],
])('one that %s keeps nothing back, and is told once', (_, filter) => {
  const faults: unknown[] = []
  const wanted = lineFilter(filter as Sink['filter'], (error) => faults.push(error))!
  expect([wanted('traffic', '{}'), wanted('traffic', '{}')]).toEqual([true, true])
  expect(faults).toHaveLength(1)
})
