// Edits count what a slip of the fingers does, and the nearest name has the fewest.
import { expect, it } from 'vitest'
import { edits, nearest } from '../src/nearest.ts'

it.each([
  ['filter', 'filter', 0],
  ['fillter', 'filter', 1],
  ['flter', 'filter', 1],
  ['fulter', 'filter', 1],
  ['fliter', 'filter', 1],
  ['files', 'filter', 2],
  ['', 'open', 4],
  ['open', '', 4],
  ['traffic', 'control', 7],
])('from %j to %j it takes %i', (from, to, count) => {
  expect([edits(from, to), edits(to, from)]).toEqual([count, count])
})

it('the nearest is the one that takes the fewest, and the first of several', () => {
  expect(nearest('contrl', ['traffic', 'security', 'control'])).toBe('control')
  expect(nearest('b', ['aa', 'ab', 'ba'])).toBe('ab')
})
