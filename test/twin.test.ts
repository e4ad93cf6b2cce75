// Updates leave what is known of the backends alone: a balancer that is changed all the time, beside a twin that never is.
import { expect, it } from 'vitest'
import { runTwins } from './support/twins.ts'

const steps = 200

it.each([
  ['passive', 1],
  ['active', 3],
  ['latency', 5],
] as const)(
  `%s, seed %i: ${steps} steps of updates leave counts, latencies, ejections and health equal`,
  async (kind, seed) => {
    const { updates, pairs, out, probed, costs } = await runTwins({ kind, seed, steps })
    expect(updates).toBeGreaterThan(steps / 10)
    expect(pairs).toBeGreaterThan(steps / 2)
    expect(out).toBeGreaterThan(kind === 'latency' ? -1 : 3)
    expect(probed).toBeGreaterThan(kind === 'active' ? steps / 3 : -1)
    expect(costs).toBeGreaterThan(kind === 'latency' ? steps : -1)
  },
)
