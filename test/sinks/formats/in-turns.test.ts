// A long batch is formatted in turns: the same comes of it, and the event loop goes on meanwhile.
import { expect, it } from 'vitest'
import { formats } from '../../../src/index.ts'
import { batchOf, samples } from '../../support/sample-events.ts'

const all = [...samples.values()]
const long = batchOf(Array.from({ length: 45 }, (_, i) => all[i % all.length]!))

it.each(Object.entries(formats))('%s makes the same in turns as at once', async (_, make) => {
  const { accepted: _one, ...atOnce } = make()(long)
  const { accepted: _other, ...inTurns } = await make().inTurns!(long)
  expect(inTurns).toEqual(atOnce)
})

it('no turn of the event loop maps more than 10 lines', async () => {
  let now = 0
  const turns = [0]
  const map = (event: object) => {
    turns[turns.length - 1]!++
    return event
  }
  const ticking = (): void => {
    turns.push(0)
    if (now++ < 1000) immediate = setImmediate(ticking)
  }
  let immediate = setImmediate(ticking)
  await formats.json({ map }).inTurns!(long)
  clearImmediate(immediate)
  expect(turns.reduce((sum, n) => sum + n)).toBe(45)
  expect(Math.max(...turns)).toBeLessThanOrEqual(10)
})
