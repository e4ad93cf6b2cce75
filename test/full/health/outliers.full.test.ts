// Statistics of outliers over thousands of host-hours: healthy fleets that must be left alone, and ill ones that must be found.
import { expect, it } from 'vitest'
import { seededRandom } from '../../../src/random.ts'
import { type Fleet, falseEjections, findsAll, type Ill, type Shape, shapes } from '../../support/fleet.ts'
import { scaled } from '../../support/scale.ts'

const names = Object.keys(shapes) as Shape[]

/**
 * No event in 4,700 host-hours bounds the rate at 4.61 / 4,700 = 9.8 · 10⁻⁴ per host-hour with 99 % confidence (one-sided,
 * Poisson). The short form has 200, which bounds it at 2.3 · 10⁻².
 */
const hostHours = scaled(4700, 200)

const healthy: readonly Fleet[] = [
  ...names.flatMap((shape) => [
    { shape, hosts: 3, requests: 25 },
    { shape, hosts: 10, requests: 25 },
    { shape, hosts: 20, requests: 100 },
  ]),
  // Hosts that differ for good by 10 %, and that wander by 15 %.
  { shape: 'lognormal, σ 1', hosts: 10, requests: 100, differing: 0.1, wandering: 0.15 },
  { shape: 'lognormal, σ 0.5', hosts: 5, requests: 25, differing: 0.1, wandering: 0.15 },
  // Failures that are ordinary here.
  { shape: 'lognormal, σ 1', hosts: 10, requests: 25, failing: 0.05 },
  { shape: 'lognormal, σ 1', hosts: 10, requests: 100, failing: 0.2 },
  { shape: 'lognormal, σ 1', hosts: 3, requests: 25, failing: 0.001 },
]

it.each(healthy.map((fleet, i) => [i, JSON.stringify(fleet), fleet] as const))(
  `healthy fleet %i, %s: no ejection in ${hostHours} host-hours, so below ${scaled('10⁻³', '2.3 · 10⁻²')} per host-hour`,
  { timeout: 600_000 },
  (i, _, fleet) => {
    expect(falseEjections(fleet, hostHours, seededRandom(1000 + i))).toBe(0)
  },
)

const ill: readonly Omit<Ill, 'hosts'>[] = [
  { shape: 'lognormal, σ 0.5', requests: 60, slower: 5 },
  { shape: 'lognormal, σ 1', requests: 500, slower: 5 },
  { shape: 'lognormal, σ 1.5', requests: 500, slower: 10 },
  { shape: 'one in fifty 1,000 times as slow', requests: 500, slower: 5 },
  { shape: 'one in ten 100 times as slow', requests: 500, slower: 8 },
  { shape: 'every second 100 times as slow', requests: 1000, slower: 10 },
  { shape: 'Pareto, index 1.1', requests: 500, slower: 5 },
  { shape: 'lognormal, σ 1', requests: 200, failing: 0.4 },
  { shape: 'lognormal, σ 1', requests: 500, failing: 0.25 },
]

// With all of 500 found, the share that is found is above 99.0 % with 99 % confidence (0.01^(1/500)); with all of 50, above 91 %.
const runs = scaled(100, 10)
it.each(ill.map((one, i) => [i, JSON.stringify(one), one] as const))(
  `ill fleet %i, %s: exactly the bad 40 percent found in two intervals in ${5 * runs} runs of ${5 * runs}`,
  { timeout: 600_000 },
  (i, _, one) => {
    const random = seededRandom(2000 + i)
    for (const hosts of [3, 5, 7, 10, 20])
      for (let run = 0; run < runs; run++)
        expect([hosts, run, findsAll({ hosts, ...one }, random)]).toEqual([hosts, run, true])
  },
)
