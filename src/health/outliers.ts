// Outliers: which backends did much worse than their group in one interval, by the median absolute deviation.
import { z } from 'zod'

export const outliersSchema = z.strictObject({
  /** How often the backends are compared, in ms. One that stands out twice in a row is ejected. Default 10,000. */
  intervalMs: z.int().min(100).max(3_600_000).default(10_000),
  /**
   * How slow a backend must be at least, in percent of the median of the group; `false` leaves latency out of account.
   * Default 300: hosts that share their machines wander by tens of percent, and twice the median happens to healthy ones.
   */
  latencyPercent: z.union([z.literal(false), z.int().min(101).max(100_000)]).default(300),
  /**
   * How far its share of failures must at least be above the median of the group, in percent points; `false` leaves
   * failures out of account. Default 10.
   */
  failurePercent: z.union([z.literal(false), z.int().min(1).max(100)]).default(10),
  /** How many results a backend must have in an interval to be compared. Default 20. */
  minRequests: z.int().min(2).max(1_000_000).default(20),
  /** How many backends with so many there must be. Default 3, with which one of them can be told from two. */
  minBackends: z.int().min(3).max(1000).default(3),
  /** How many deviations from the median are too many. Default 3.5 (Iglewicz and Hoaglin, How to Detect and Handle Outliers). */
  deviations: z.number().min(1).max(100).default(3.5),
})
export type OutlierConfig = z.output<typeof outliersSchema>

/** How many intervals in a row one must stand out. One alone would be wrong too often with little traffic. */
const intervalsInRow = 2

/** What is known of one backend in the interval that is under way. Adding a result costs the same whatever came before. */
export class Sample {
  failures = 0
  successes = 0
  /** Of the latencies of the successes: one that fails fast is not fast. */
  #logs = 0
  #squares = 0
  /** Intervals in a row in which it stood out. */
  slow = 0
  failing = 0

  add(failed: boolean, latencyUs: number): void {
    if (failed) {
      this.failures++
      return
    }
    const log = Math.log(Math.max(1, latencyUs))
    this.successes++
    this.#logs += log
    this.#squares += log * log
  }

  /** Begins the next interval. */
  next(): void {
    this.failures = 0
    this.successes = 0
    this.#logs = 0
    this.#squares = 0
  }

  clear(): void {
    this.next()
    this.slow = 0
    this.failing = 0
  }

  /** The mean of the logarithms: that of a latency on a scale where one slow answer among many does not count for all. */
  latency(): Point {
    const count = this.successes
    const value = this.#logs / count
    return {
      sample: this,
      value,
      variance: (Math.max(0, this.#squares / count - value * value) * count) / (count - 1),
      count,
    }
  }

  share(): Point {
    const count = this.failures + this.successes
    // Two failures and two successes are added, so that without any failure the noise is not taken for none (Agresti and Coull).
    const share = (this.failures + 2) / (count + 4)
    return { sample: this, value: this.failures / count, variance: share * (1 - share), count }
  }
}

interface Point {
  readonly sample: Sample
  readonly value: number
  /** Of a single result. */
  readonly variance: number
  readonly count: number
}

/** How far one is from its group. */
interface Standing {
  readonly sample: Sample
  readonly cause: 'latency-outlier' | 'failure-outlier'
  readonly score: number
  readonly value: number
  /** The median of the group. */
  readonly center: number
}

/** Backends of one kind differ by so much without anything being wrong: as the logarithm of a ratio, about 10 %. */
const leastSpread = 0.1

/** What is exactly at a threshold is beyond it, also where a share such as 0.15 has no exact number. */
const rounding = 1e-9

/**
 * Judges the interval that ends; returns those that stood out in this one and the ones before it that it takes, the worst
 * first. Each of these samples counts, so they must be those of backends that do the same work.
 */
export function judge(samples: readonly Sample[], config: OutlierConfig): Standing[] {
  const slow = config.latencyPercent === false ? [] : slowOnes(samples, config, Math.log(config.latencyPercent / 100))
  const failing = config.failurePercent === false ? [] : failingOnes(samples, config, config.failurePercent / 100)
  const slowSet = new Set(slow.map(({ sample }) => sample))
  const failingSet = new Set(failing.map(({ sample }) => sample))
  for (const sample of samples) {
    sample.slow = slowSet.has(sample) ? sample.slow + 1 : 0
    sample.failing = failingSet.has(sample) ? sample.failing + 1 : 0
  }
  return [
    ...failing.filter(({ sample }) => sample.failing >= intervalsInRow),
    ...slow.filter(({ sample }) => sample.slow >= intervalsInRow),
  ].sort((a, b) => b.score - a.score)
}

function slowOnes(samples: readonly Sample[], config: OutlierConfig, least: number): Standing[] {
  const points = samples.filter(({ successes }) => successes >= config.minRequests).map((sample) => sample.latency())
  return above(points, 'latency-outlier', config, least, leastSpread)
}

function failingOnes(samples: readonly Sample[], config: OutlierConfig, least: number): Standing[] {
  const points = samples
    .filter(({ failures, successes }) => failures + successes >= config.minRequests)
    .map((sample) => sample.share())
  return above(points, 'failure-outlier', config, least, 0)
}

/**
 * Those above the median by `least` and by so many deviations. A deviation is the largest of three:
 * - the spread of the group: 1.4826 times the median absolute deviation, which is the standard deviation of what is normal. It
 *   is taken from those that are not above the median, for many equally bad ones would widen it until none stood out;
 * - what `floor` says;
 * - the noise of the two figures that are compared, that of this backend and the median of the group. It goes by the larger of
 *   the variances of the two, so that neither a backend that saw a rare slow answer, nor a group that saw none, looks more
 *   certain than it is.
 */
function above(
  points: readonly Point[],
  cause: Standing['cause'],
  { minBackends, deviations }: OutlierConfig,
  least: number,
  floor: number,
): Standing[] {
  if (points.length < minBackends) return []
  const center = median(points.map(({ value }) => value))
  const below = points.filter(({ value }) => value <= center).map(({ value }) => center - value)
  const spread = Math.max(floor, 1.4826 * median(below))
  const variance = median(points.map((point) => point.variance))
  const perCount = points.reduce((sum, { count }) => sum + 1 / count, 0) / points.length
  // A median of normal values has π/2 times the variance of their mean.
  const centerNoise = ((Math.PI / 2) * variance * perCount) / points.length
  return points
    .map(({ sample, value, variance: own, count }): Standing => {
      const noise = Math.sqrt(Math.max(own, variance) / count + centerNoise)
      return { sample, cause, score: (value - center) / Math.max(spread, noise), value, center }
    })
    .filter(({ score, value }) => score >= deviations && value - center >= least - rounding)
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** In words: what was compared. */
export function describeStanding({ cause, score, value, center }: Standing): string {
  const deviations = `${score.toFixed(1)} deviations`
  return cause === 'latency-outlier'
    ? `latency ${Math.round(Math.exp(value))} us, group ${Math.round(Math.exp(center))} us, ${deviations}`
    : `failures ${Math.round(value * 1000)} permille, group ${Math.round(center * 1000)} permille, ${deviations}`
}
