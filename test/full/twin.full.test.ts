// Updates leave what is known of the backends alone, at length: many pairs of twins, of which one is changed all the time.
import { expect, it } from 'vitest'
import { scaled } from '../support/scale.ts'
import { runTwins } from '../support/twins.ts'

const runs = scaled(6, 1)
const steps = scaled(1500, 400)

it.each(['passive', 'active', 'latency'] as const)(
  `%s: ${runs} pairs and ${steps} steps of updates each leave counts, latencies, ejections and health equal`,
  async (kind) => {
    for (let seed = 100; seed < 100 + runs; seed++) {
      const { updates, pairs, out, probed, costs } = await runTwins({ kind, seed, steps })
      expect(updates).toBeGreaterThan(steps / 10)
      expect(pairs).toBeGreaterThan(steps / 2)
      expect(out).toBeGreaterThan(kind === 'latency' ? -1 : 3)
      expect(probed).toBeGreaterThan(kind === 'active' ? steps / 3 : -1)
      expect(costs).toBeGreaterThan(kind === 'latency' ? steps / 2 : -1)
    }
  },
)
