// How long responses took lately: a histogram of fixed size.

/** Buckets: one for each µs below 16, then 8 for each doubling up to 2³¹ µs. A bucket is at most 1/8 wider than its start. */
const buckets = 16 + 28 * 8
/** What is counted together before the counts before it are dropped: between one and two times as many are remembered. */
const generation = 1000
/** Fewer say nothing of a high percentile. */
const enough = 100
/** How many come in before a percentile is looked up anew. */
const stale = 64

/** Recording is O(1) and allocates nothing; a percentile is looked up once in 64 records. */
export class Latencies {
  #now = new Uint32Array(buckets)
  #before = new Uint32Array(buckets)
  #inNow = 0
  #inBefore = 0
  #percent = 0
  #found: number | undefined
  #since = 0

  record(us: number): void {
    this.#now[bucketOf(us)]!++
    this.#since++
    if (++this.#inNow < generation) return
    const old = this.#before
    this.#before = this.#now
    this.#inBefore = this.#inNow
    this.#now = old.fill(0)
    this.#inNow = 0
  }

  /** The latency, in µs, that so many percent of the recent ones stay within; undefined while too few are known. */
  percentile(percent: number): number | undefined {
    const count = this.#inNow + this.#inBefore
    if (count < enough) return undefined
    if (this.#found !== undefined && this.#percent === percent && this.#since < stale) return this.#found
    this.#percent = percent
    this.#since = 0
    // From the top, for the percentiles that are asked for are high.
    let above = count - Math.ceil((count * percent) / 100)
    let i = buckets - 1
    for (; i > 0; i--) {
      above -= this.#now[i]! + this.#before[i]!
      if (above < 0) break
    }
    this.#found = endOf(i)
    return this.#found
  }
}

function bucketOf(us: number): number {
  const value = Math.max(0, Math.min(us, 0x7fff_ffff))
  if (value < 16) return value
  const exponent = 31 - Math.clz32(value)
  return 16 + (exponent - 4) * 8 + ((value >> (exponent - 3)) & 7)
}

/** The highest value of a bucket. */
function endOf(bucket: number): number {
  if (bucket < 16) return bucket
  const exponent = 4 + ((bucket - 16) >> 3)
  return 2 ** exponent + (((bucket - 16) & 7) + 1) * 2 ** (exponent - 3) - 1
}
