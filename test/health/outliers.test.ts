// Outliers: who stands out of the group, and the events through leases.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judge, type OutlierConfig, Sample } from '../../src/health/outliers.ts'
import { seededRandom } from '../../src/random.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { defaults, falseEjections, findsAll, normal, type Shape, shapes } from '../support/fleet.ts'
import { watched } from '../support/watched.ts'

const random = seededRandom(11)
const lognormal = (meanUs: number): number => Math.round(meanUs * Math.exp(0.3 * normal(random)))

function pool(outliers: object | 'off' = {}, count = 10, passive: object = {}) {
  const clock = fakeClock()
  const names = Array.from({ length: count }, (_, i) => `b${i}`)
  const w = watched({
    backends: names.map((id) => ({ id, url: `http://${id}` })),
    strategy: 'round-robin',
    health: { passive: { failures: 1000, ...(outliers === 'off' ? {} : { outliers }), ...passive } },
    clock,
    audit: { clock },
  })
  return {
    ...w,
    clock,
    /** One interval of so many leases for each on average, which go by what is said of their backend. */
    interval(each: number, how: (at: number, turn: number) => { latencyUs: number; failed?: boolean }) {
      for (let turn = 0; turn < each * count; turn++) {
        const lease = w.balancer.pick()
        const { latencyUs, failed } = how(Number(lease.backend!.id.slice(1)), turn)
        lease.done({ result: failed === true ? 'backend-reset' : 'ok', latencyUs })
      }
      clock.advance(10_000)
    },
    changes: () => w.of('backend.health_changed').map(({ backend }) => backend),
    out: () =>
      w.balancer
        .snapshot()
        .backends.filter(({ passive }) => passive === 'ejected')
        .map(({ id }) => id),
  }
}

describe('through leases', () => {
  it('finds 40 % that are equally slow in two intervals, and nobody else', () => {
    const p = pool({}, 10, { maxEjectedPercent: 40 })
    p.interval(40, (at) => ({ latencyUs: lognormal(at < 4 ? 60_000 : 12_000) }))
    expect(p.out()).toEqual([])
    p.interval(40, (at) => ({ latencyUs: lognormal(at < 4 ? 60_000 : 12_000) }))
    expect(p.out()).toEqual(['b0', 'b1', 'b2', 'b3'])
    for (const change of p.changes()) {
      expect(change).toMatchObject({ axis: 'passive', from: 'ok', to: 'ejected', cause: 'latency-outlier' })
      expect(change).toMatchObject({ failures: 0, successes: 40, threshold: 3500 })
      expect(change.last_error).toMatch(/^latency \d{5} us, group \d{5} us, \d+\.\d deviations$/)
    }
  })

  it('finds 40 % that fail equally often in two intervals, and nobody else', () => {
    const p = pool({}, 5, { maxEjectedPercent: 40 })
    const how = (at: number, turn: number) => ({ latencyUs: 1000, failed: at < 2 && Math.floor(turn / 5) % 3 === 0 })
    p.interval(60, how)
    p.interval(60, how)
    expect(p.out()).toEqual(['b0', 'b1'])
    expect(p.changes()[0]).toMatchObject({
      cause: 'failure-outlier',
      failures: 20,
      successes: 40,
      threshold: 3500,
      last_error: expect.stringMatching(/^failures 333 permille, group 0 permille, \d+\.\d deviations$/),
    })
  })

  it('keeps to the cap, and takes the worst', () => {
    const p = pool({}, 10, { maxEjectedPercent: 20 })
    for (let i = 0; i < 2; i++) p.interval(30, (at) => ({ latencyUs: lognormal(at < 4 ? 50_000 * (at + 1) : 10_000) }))
    expect(p.out()).toEqual(['b2', 'b3'])
    expect(p.changes().map(({ id }) => id)).toEqual(['b3', 'b2'])
  })

  it('one that fails fast is not taken for fast', () => {
    const p = pool({ failurePercent: false }, 5)
    for (let i = 0; i < 2; i++)
      p.interval(60, (at, turn) =>
        at === 0 && turn % 2 === 0
          ? { latencyUs: 1, failed: true }
          : { latencyUs: lognormal(at === 0 ? 50_000 : 10_000) },
      )
    expect(p.out()).toEqual(['b0'])
  })

  it('is off unless it is given, and ends with the configuration and with close', async () => {
    const off = pool('off')
    expect(off.clock.timers).toBe(pool({}).clock.timers - 1)
    const p = pool({}, 5)
    const slow = (at: number) => ({ latencyUs: at === 0 ? 90_000 : 10_000 })
    p.interval(20, slow)
    await p.ops.update({ health: { passive: {} } })
    p.interval(20, slow)
    p.interval(20, slow)
    expect(p.changes()).toEqual([])
    await p.ops.update({ health: { passive: { outliers: { intervalMs: 5000 } } } })
    p.interval(20, slow)
    p.interval(20, slow)
    // At twice the rate every second interval is empty: it never stands out in two in a row.
    expect(p.changes()).toEqual([])
    await p.ops.update({ health: { passive: { outliers: {} } } })
    p.interval(20, slow)
    p.interval(20, slow)
    expect(p.out()).toEqual(['b0'])
  })
})

/** Samples of one interval from lists of latencies; undefined is a failure. */
const samplesOf = (lists: readonly (readonly (number | undefined)[])[]): Sample[] =>
  lists.map((list) => refill(new Sample(), list))
function refill(sample: Sample, list: readonly (number | undefined)[]): Sample {
  sample.next()
  for (const latencyUs of list) sample.add(latencyUs === undefined, latencyUs ?? 1)
  return sample
}
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

/** Who is found when two intervals look like this. */
function found(lists: readonly (readonly (number | undefined)[])[], config: Partial<OutlierConfig> = {}): number[] {
  const samples = samplesOf(lists)
  const all = { ...defaults, ...config }
  expect(judge(samples, all)).toEqual([])
  for (const [at, list] of lists.entries()) refill(samples[at]!, list)
  return judge(samples, all).map(({ sample }) => samples.indexOf(sample))
}

describe('judge', () => {
  const ten = times(9, times(20, 1000))

  it('takes latency at the named percent of the median, not below', () => {
    expect(found([...ten, times(20, 3000)])).toEqual([9])
    expect(found([...ten, times(20, 2990)])).toEqual([])
    expect(found([...ten, times(20, 2990)], { latencyPercent: 250 })).toEqual([9])
    expect(found([...ten, times(20, 3000)], { latencyPercent: false })).toEqual([])
  })

  it('takes differences that are small but certain for nothing, however low the percent', () => {
    expect(found([...ten, times(100_000, 1300)], { latencyPercent: 101 })).toEqual([])
  })

  it('takes failures at so many percent points above the median, not below', () => {
    const failing = (share: number): (number | undefined)[] => [
      ...times(1000 * share, undefined),
      ...times(1000 - 1000 * share, 1000),
    ]
    const group = times(9, failing(0.05))
    expect(found([...group, failing(0.15)])).toEqual([9])
    expect(found([...group, failing(0.149)])).toEqual([])
    expect(found([...group, failing(0.149)], { failurePercent: 9 })).toEqual([9])
    expect(found([...group, failing(0.9)], { failurePercent: false })).toEqual([])
  })

  it('needs so many results, and so many backends that have them', () => {
    expect(found([...ten, times(19, 9000)])).toEqual([])
    expect(found([...ten, times(19, 9000)], { minRequests: 19 })).toEqual([9])
    expect(found([...times(2, times(20, 1000)), times(20, 9000)])).toEqual([2])
    expect(found([...times(2, times(20, 1000)), times(20, 9000)], { minBackends: 4 })).toEqual([])
    expect(found([times(20, 1000), times(19, 1000), times(20, 9000)])).toEqual([])
  })

  it('takes one that stands out in two intervals in a row, not in two of three', () => {
    const good = times(20, 1000)
    const bad = times(20, 9000)
    const samples = samplesOf([good, good, good, bad])
    const round = (last: readonly number[]): number => {
      for (const [at, list] of [good, good, good, last].entries()) refill(samples[at]!, list)
      return judge(samples, defaults).length
    }
    expect([round(bad), round(good), round(bad), round([]), round(bad), round(bad)]).toEqual([0, 0, 0, 0, 0, 1])
  })

  it('does not go by one answer that is slow beyond measure', () => {
    expect(found([...ten, [...times(19, 1000), 3_600_000_000]])).toEqual([])
  })

  it('goes by ratios only: other units of time change nothing, nor does the order', () => {
    const latency = fc.integer({ min: 1, max: 4000 })
    const list = fc.array(latency, { minLength: 20, maxLength: 30 })
    fc.assert(
      fc.property(
        fc.array(list, { minLength: 3, maxLength: 8 }),
        fc.integer({ min: 2, max: 1000 }),
        (lists, factor) => {
          const config = { ...defaults, deviations: 1.01, latencyPercent: 103 }
          const plain = judgeTwice(lists, config)
          expect(
            judgeTwice(
              lists.map((one) => one.map((us) => us * factor)),
              config,
            ),
          ).toEqual(plain)
          const last = lists.length - 1
          const turned = judgeTwice([...lists].reverse(), config).map((at) => last - at)
          expect(turned.sort()).toEqual(plain.sort())
        },
      ),
    )
    function judgeTwice(lists: readonly (readonly number[])[], config: OutlierConfig): number[] {
      const samples = samplesOf(lists)
      judge(samples, config)
      return judge(samples, config).map(({ sample }) => samples.indexOf(sample))
    }
  })
})

describe('statistics', () => {
  // 40 runs each; the long form in test/full has more.
  it.each([3, 5, 10, 20, 50])(
    'of %i backends it finds exactly the bad 40 % in two intervals, 40 runs of 40',
    (hosts) => {
      const chance = seededRandom(hosts)
      for (let run = 0; run < 20; run++) {
        expect(findsAll({ hosts, requests: 300, shape: 'lognormal, σ 1', slower: 6 }, chance)).toBe(true)
        expect(findsAll({ hosts, requests: 200, shape: 'lognormal, σ 1', failing: 0.4 }, chance)).toBe(true)
      }
    },
  )

  // None in 7 × 60 = 420 host-hours of 25 requests per interval: below 1.1 · 10⁻² per host-hour with 99 % confidence (4.61 / 420).
  it('ejects no healthy one in 420 host-hours of low traffic', () => {
    const counts = (Object.keys(shapes) as Shape[]).map((shape, i) =>
      falseEjections({ hosts: 10, requests: 25, shape }, 60, seededRandom(100 + i)),
    )
    expect(counts).toEqual(counts.map(() => 0))
  })
})
