// Replay at length: a million recorded picks of pools that change all the time, over all strategies, done again.
import { describe, expect, it } from 'vitest'
import type { Decision } from '../../src/decision.ts'
import { seededRandom } from '../../src/random.ts'
import { replay } from '../../src/replay.ts'
import { strategies } from '../../src/strategies/index.ts'
import { decisionsOf, furtherDecisionsOf, strategyOptions } from '../support/decisions.ts'
import { scaled } from '../support/scale.ts'

const variants = strategies.flatMap(({ name }) => strategyOptions(name))
const all = scaled(1_000_000, 22_000)
const each = Math.ceil(all / variants.length / 2)
/** Of so many one comes back from a line. */
const lineOf = 8

/** Replays them all; returns how many there were. */
async function replayed(decisions: AsyncIterable<Decision> | Iterable<Decision>): Promise<number> {
  let count = 0
  for await (const decision of decisions) {
    const record = count++ % lineOf === 0 ? JSON.parse(JSON.stringify({ lb: { decision } })) : decision
    const backend = replay(record)
    if (backend !== decision.backend) expect([JSON.stringify(decision), backend]).toEqual(decision.backend)
  }
  return count
}

describe(`${all} decisions, every ${lineOf}th of them through a line, are replayed to the same backend`, () => {
  it.each(variants)(`%s: ${each} picks, and ${each} of further attempts`, async (_, options) => {
    expect(await replayed(decisionsOf(options, each, seededRandom(41)))).toBe(each)
    expect(await replayed(furtherDecisionsOf(options, each, seededRandom(42)))).toBe(each)
  })
})
