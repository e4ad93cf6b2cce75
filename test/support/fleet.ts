// Fleets for statistics of outliers: latencies of several shapes, and how often a healthy or a bad one is taken for an outlier.
import type { OutlierConfig } from '../../src/health/outliers.ts'
import { judge, outliersSchema, Sample } from '../../src/health/outliers.ts'
import type { Random } from '../../src/random.ts'

const uniform = (random: Random): number => (random.uint32() + 0.5) / 2 ** 32
export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(uniform(random))) * Math.cos(2 * Math.PI * uniform(random))

const mixed =
  (share: number, slowUs: number) =>
  (random: Random): number =>
    (uniform(random) < share ? slowUs : 1000) * Math.exp(0.2 * normal(random))

/** Latencies in µs. */
export const shapes = {
  'lognormal, σ 0.5': (random: Random) => 8000 * Math.exp(0.5 * normal(random)),
  'lognormal, σ 1': (random: Random) => 8000 * Math.exp(normal(random)),
  'lognormal, σ 1.5': (random: Random) => 8000 * Math.exp(1.5 * normal(random)),
  'one in fifty 1,000 times as slow': mixed(0.02, 1_000_000),
  'one in ten 100 times as slow': mixed(0.1, 100_000),
  'every second 100 times as slow': mixed(0.5, 100_000),
  'Pareto, index 1.1': (random: Random) => 1000 * uniform(random) ** (-1 / 1.1),
} satisfies { readonly [name: string]: (random: Random) => number }
export type Shape = keyof typeof shapes

export interface Fleet {
  readonly hosts: number
  /** Mean of the results per host and interval. */
  readonly requests: number
  readonly shape: Shape
  /** The share of failures of every host. */
  readonly failing?: number
  /** Standard deviation of the logarithm of a host's own factor: what it differs from the others for good. */
  readonly differing?: number
  /** The same of a factor that wanders, half of it new with each interval. */
  readonly wandering?: number
}

/** So many values stand for a shape: drawing from them is fast, and their tail reaches to one in 65,536. */
const tableSize = 65_536

function tableOf(shape: Shape, random: Random): Float64Array {
  return Float64Array.from({ length: tableSize }, () => shapes[shape](random))
}

function poisson(mean: number, random: Random): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = uniform(random); product > limit; product *= uniform(random)) count++
  return count
}

export const defaults: OutlierConfig = outliersSchema.parse({})

/** How many false ejections there are in so many host-hours of this healthy fleet, with the defaults. */
export function falseEjections(fleet: Fleet, hostHours: number, random: Random): number {
  const table = tableOf(fleet.shape, random)
  const samples = Array.from({ length: fleet.hosts }, () => new Sample())
  const own = samples.map(() => Math.exp((fleet.differing ?? 0) * normal(random)))
  const drift = samples.map(() => 0)
  const limit = (fleet.failing ?? 0.01) * 2 ** 32
  const intervals = Math.ceil((hostHours * 3_600_000) / defaults.intervalMs / fleet.hosts)
  let ejected = 0
  for (let interval = 0; interval < intervals; interval++) {
    for (const [at, sample] of samples.entries()) {
      const fresh = fleet.wandering === undefined ? 0 : fleet.wandering * normal(random)
      drift[at] = Math.SQRT1_2 * (drift[at]! + fresh)
      const factor = own[at]! * Math.exp(drift[at]!)
      for (let left = poisson(fleet.requests, random); left > 0; left--)
        sample.add(random.uint32() < limit, table[random.uint32() % tableSize]! * factor)
    }
    const found = new Set(judge(samples, defaults).map(({ sample }) => sample))
    ejected += found.size
    for (const sample of samples) found.has(sample) ? sample.clear() : sample.next()
  }
  return ejected
}

export interface Ill {
  readonly hosts: number
  readonly requests: number
  readonly shape: Shape
  /** How many times as slow the bad ones are. */
  readonly slower?: number
  /** The share of failures of the bad ones; that of the others is 1 %. */
  readonly failing?: number
}

/** Whether exactly the bad ones, 40 % of the hosts rounded down, are found in two intervals. */
export function findsAll({ hosts, requests, shape, slower = 1, failing = 0.01 }: Ill, random: Random): boolean {
  const bad = Math.floor(hosts * 0.4)
  const samples = Array.from({ length: hosts }, () => new Sample())
  let found: unknown[] = []
  for (let interval = 0; interval < 2; interval++) {
    for (const [at, sample] of samples.entries()) {
      sample.next()
      for (let left = poisson(requests, random); left > 0; left--)
        sample.add(uniform(random) < (at < bad ? failing : 0.01), shapes[shape](random) * (at < bad ? slower : 1))
    }
    found = judge(samples, defaults).map(({ sample }) => samples.indexOf(sample))
  }
  return found.length === bad && found.every((at) => (at as number) < bad)
}
