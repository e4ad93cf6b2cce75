// The folder keeps its budget, and what is left still verifies.
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { systemClock } from '../../src/clock.ts'
import { fromHash, Tree, toHash } from '../../src/log/merkle.ts'
import { Store } from '../../src/log/store.ts'
import { readTile } from '../../src/log/tiles.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { seededRandom } from '../../src/random.ts'
import { stderrLogger } from '../../src/runtime.ts'
import type { StoreNotice } from '../../src/sink.ts'
import { fileSinkSchema, fileStore } from '../../src/sinks/file.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { lineAt, openLog, type TestLog } from '../support/log.ts'
import { until } from '../support/until.ts'

const sinkContext = { service: 'shop', clock: systemClock, random: seededRandom(1), logger: stderrLogger }

/** Bytes of the segments of one log: hashes come on top of the budget. */
function bytesOfLog(dir: string, log: string): number {
  const segments = join(dir, 'a', log, 'segments')
  const sizes = readdirSync(segments).map(
    (name) => statSync(join(segments, name), { throwIfNoEntry: false })?.size ?? 0,
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

const bytesOfLines = (dir: string): number =>
  ['traffic', 'security', 'control'].reduce((sum, log) => sum + bytesOfLog(dir, log), 0)

const firstOf = (dir: string, log: string) =>
  Number(
    readdirSync(join(dir, 'a', log, 'segments'))
      .sort()[0]!
      .slice(0, 16),
  )

it('deletes the oldest traffic first, and control only when nothing else is left', async () => {
  const dir = tempFolder()
  const maxBytes = 1_000_000
  const text = 'x'.repeat(1000)
  const log = await openLog({ dir, instance: 'a', maxBytes })
  await log.sink.durable('control', log.write('control', 100, { text }))
  await log.sink.durable('security', log.write('security', 100, { text }))
  for (let round = 0; round < 20; round++) {
    await log.sink.durable('traffic', log.write('traffic', 100, { text }))
    // A deletion comes behind its record, which waits for the disk as the lines do.
    await until(() => bytesOfLines(dir) < maxBytes)
  }
  await log.close()
  expect(firstOf(dir, 'traffic')).toBeGreaterThan(0)
  expect([firstOf(dir, 'security'), firstOf(dir, 'control')]).toEqual([0, 0])
  const report = await verifyLog(dir)
  expect(report.ok).toBe(true)
  const traffic = report.instances[0]!.logs[0]!
  expect(traffic.pruned).toBe(firstOf(dir, 'traffic'))
  const pruned = log.notices.filter((notice) => notice.event === 'audit.pruned')
  expect(pruned[0]).toMatchObject({ log: 'traffic', facts: { first: 0, bytes: expect.any(Number) } })
  expect(pruned.map(({ facts }) => facts.last)).toContain(traffic.pruned - 1)
  // What retention wanted to tell while the log was closing was not taken, and is not deleted.
  const taken = traffic.signed - 2000
  expect([pruned.length, pruned.length - 1]).toContain(taken)

  const again = await openLog({ dir, instance: 'a', maxBytes })
  expect(again.opened.heads.traffic.next).toBe(2000 + taken)
  await again.sink.durable('control', again.write('control', 2000, { text }))
  await until(() => firstOf(dir, 'control') > 0)
  await again.close()
  expect((await verifyLog(dir)).ok).toBe(true)
})

describe('a deletion', () => {
  it('of many segments has one record', async () => {
    const dir = tempFolder()
    const segment = { maxBytes: 10_000 }
    const wide = await openLog({ dir, instance: 'a', maxBytes: 10_000_000, segment })
    await wide.sink.durable('traffic', wide.write('traffic', 500, { text: 'x'.repeat(1000) }))
    await wide.close()
    const narrow = await openLog({ dir, instance: 'a', maxBytes: 100_000, segment })
    await until(() => bytesOfLines(dir) < 100_000)
    await narrow.close()
    const pruned = narrow.notices.filter((notice) => notice.event === 'audit.pruned')
    expect(pruned.length).toBeLessThan(5)
    expect(pruned[0]).toMatchObject({ log: 'traffic', facts: { first: 0, last: expect.any(Number) } })
    expect(Number(pruned[0]!.facts.last)).toBeGreaterThan(300)
    expect((await verifyLog(dir)).ok).toBe(true)
  })

  it('is not made where the log has taken another line than its record', async () => {
    const dir = tempFolder()
    const segment = { maxBytes: 10_000 }
    const wide = await openLog({ dir, instance: 'a', maxBytes: 10_000_000, segment })
    await wide.sink.durable('traffic', wide.write('traffic', 100, { text: 'x'.repeat(1000) }))
    await wide.close()
    // As where the line of a gap finds the last room that there is.
    const narrow = await openLog({ dir, instance: 'a', maxBytes: 100_000, segment }, { instead: 'audit.gap' })
    await until(() => narrow.notices.some(({ event }) => event === 'audit.pruned'))
    await narrow.close()
    expect(firstOf(dir, 'traffic')).toBe(0)
  })

  it('comes after its record is signed', async () => {
    const dir = tempFolder()
    const unlink = vi.fn()
    // Whatever moment it is, each line that is missing has a signed record.
    const log = await openLog({
      dir,
      instance: 'a',
      maxBytes: 100_000,
      segment: { maxBytes: 10_000 },
      checkpoint: { intervalMs: 3_600_000, lines: 1e9 },
    })
    for (let round = 0; round < 30; round++) {
      await log.sink.durable('traffic', log.write('traffic', 50))
      const { ok, instances } = await verifyLog(dir)
      expect(instances[0]!.logs.flatMap((one) => one.problems)).toEqual([])
      if (ok && instances[0]!.logs[0]!.pruned > 0) unlink()
    }
    expect(unlink).toHaveBeenCalled()
    await log.close()
  })

  it('is not made when nobody records it', async () => {
    const dir = tempFolder()
    const sink = fileStore({
      ...fileSinkSchema.parse({ dir, instance: 'a' }),
      maxBytes: 50_000,
      segment: { maxBytes: 10_000, maxAgeMs: 1e9, compress: 'none' },
    })
    const notices: StoreNotice[] = []
    const { heads } = await sink.open(sinkContext, {
      notify: (notice) => void notices.push(notice),
      grown: () => undefined,
    })
    for (let i = 0; i < 2000; i++) sink.append('traffic', i, lineAt(heads.traffic.origin, i))
    await sink.durable('traffic', 1999)
    await until(() => notices.some(({ event }) => event === 'audit.pruned'))
    await sink.close(600_000)
    expect(firstOf(dir, 'traffic')).toBe(0)
    expect(await verifyLog(dir)).toMatchObject({ ok: true })
  })

  it('is made at the next start, when the budget has become less', async () => {
    const dir = tempFolder()
    const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 10_000 } })
    log.write('traffic', 2000)
    await log.close()
    const clock = fakeClock()
    const again = await openLog({ dir, instance: 'a', maxBytes: 50_000, segment: { maxBytes: 10_000 } }, { clock })
    expect(firstOf(dir, 'traffic')).toBe(0)
    await until(() => {
      clock.advance(100)
      return firstOf(dir, 'traffic') > 1000
    })
    await again.close()
    expect(await verifyLog(dir)).toMatchObject({ ok: true })
  })
})

it('hashes do not push out what is to be kept longest', async () => {
  const dir = tempFolder()
  // Lines that are hardly longer than their hashes.
  const log = await openLog({ dir, instance: 'a', maxBytes: 80_000, segment: { maxBytes: 10_000 } })
  for (let i = 0; i < 3; i++) await log.sink.durable('control', log.write('control', 60))
  for (let round = 0; round < 30; round++) await log.sink.durable('traffic', log.write('traffic', 100))
  await until(() => firstOf(dir, 'traffic') > 1000)
  await log.close()
  expect(firstOf(dir, 'control')).toBe(0)
})

it('with a trail that closes at any moment, each missing line has its record', async () => {
  const dir = tempFolder()
  for (let round = 0; round < 8; round++) {
    const options = fileSinkSchema.parse({ dir, instance: 'a' })
    const store = fileStore({
      ...options,
      maxBytes: 80_000,
      segment: { maxBytes: 8_000, maxAgeMs: 1e9, compress: 'none' },
    })
    const trail = createAudit({ service: 'shop', sinks: [store] })
    await trail.ready()
    for (let i = 0; i < 200 + round * 37; i++) trail.record('app.order.paid', { n: i, text: 'x'.repeat(200) })
    if (round < 7) await setTimeout(round * 7)
    else await until(() => firstOf(dir, 'traffic') > 0)
    expect(await trail.close()).toEqual({ undelivered: {} })
    const { ok, instances } = await verifyLog(dir)
    expect(instances[0]!.logs.flatMap((one) => one.problems)).toEqual([])
    expect(ok).toBe(true)
  }
})

describe('by age', () => {
  const hourMs = 3_600_000
  const dayMs = 24 * hourMs
  const retention = { traffic: { maxAgeMs: 10 * dayMs }, security: { maxAgeMs: 20 * dayMs } }
  const segment = { maxBytes: 1e6, maxAgeMs: dayMs }

  it('each log keeps its lines to a day, at the start, at each rotation, and each hour', async () => {
    const dir = tempFolder()
    const clock = fakeClock()
    const options = { dir, instance: 'a', retention, segment }
    const log = await openLog(options, { clock })
    const day = async (of: number): Promise<void> => {
      for (const name of ['traffic', 'security', 'control'] as const)
        await log.sink.durable(name, log.write(name, 10, { text: 'x'.repeat(50), of }))
      clock.advance(dayMs)
    }
    for (let days = 0; days < 30; days++) await day(days)
    /** The day of the oldest line that is left. Records of deletions stand among the lines, as many as there were. */
    const oldest = (name: string): number => {
      const segments = join(dir, 'a', name, 'segments')
      const [first] = readdirSync(segments).sort()
      return Number(/"of":(\d+)/.exec(readFileSync(join(segments, first!), 'utf8'))?.[1])
    }
    const pruned = () => log.notices.filter(({ event }) => event === 'audit.pruned')
    // In small steps: what waits for a slow disk must not become a day older meanwhile.
    await until(() => {
      clock.advance(10)
      return firstOf(dir, 'traffic') >= 190 && firstOf(dir, 'security') >= 90
    })
    expect(pruned().every(({ facts }) => facts.reason === 'age')).toBe(true)
    // Those of a day that began just so long ago may go, or not yet.
    expect(oldest('traffic')).toBeLessThanOrEqual(21)
    expect(oldest('security')).toBeLessThanOrEqual(11)
    expect(firstOf(dir, 'control')).toBe(0)
    // Nothing is written any more: the last lines grow old as well, without a rotation that would come of itself.
    for (let hours = 0; hours < 12 * 24; hours++) {
      clock.advance(hourMs)
      await new Promise(setImmediate)
    }
    await until(() => {
      clock.advance(hourMs)
      return firstOf(dir, 'traffic') >= 300
    })
    await log.close()
    const report = await verifyLog(dir)
    expect(report.instances[0]!.logs.flatMap(({ problems }) => problems)).toEqual([])
  })

  const started = Date.UTC(2026, 5, 1)
  /** An hour, in which what is deleted has the time that the disk takes. */
  const anHour = async (clock: FakeClock): Promise<void> => {
    for (let minutes = 0; minutes < 60; minutes++) {
      clock.advance(60_000)
      for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate)
    }
  }
  const prunedOf = ({ notices }: TestLog) => notices.filter(({ event }) => event === 'audit.pruned')

  /** Lets retention look, and waits until it is done: time passes only for the lines of records to be written. */
  async function look({ store, clock, pruned }: Awaited<ReturnType<typeof opened>>): Promise<void> {
    let done = false
    let { length } = pruned
    const looking = store.prune().then(() => {
      done = true
    })
    await until(() => {
      if (pruned.length > length) clock.advance(100)
      length = pruned.length
      return done
    })
    await looking
  }

  async function opened(maxAgeMs: number) {
    const dir = tempFolder()
    const clock = fakeClock(started)
    const config = fileSinkSchema.parse({ dir, instance: 'a', retention: { traffic: { maxAgeMs } } })
    const pruned: StoreNotice['facts'][] = []
    let next = 0
    const append = (fields: Record<string, unknown> = {}): void => {
      if (store.writers.traffic.append(next, lineAt(store.opened.heads.traffic.origin, next, fields))) next++
    }
    const store = await Store.open(
      config,
      { ...sinkContext, clock },
      {
        grown: () => undefined,
        notify({ event, facts }) {
          if (event !== 'audit.pruned') return
          pruned.push(facts)
          append({ event_name: event, log: facts })
        },
      },
    )
    onTestFinished(async () => {
      await store.close(600_000)
      await store.release()
    })
    const write = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) append()
      await store.writers.traffic.durable(next - 1)
    }
    return { dir, clock, store, pruned, write }
  }

  it.each([
    ['ahead', [3650]],
    ['back by more than lines are kept', [-3650]],
    ['back, and then right', [-3650, 3650]],
    ['ahead, and then right', [3650, -3650]],
  ])('a step of the clock %s makes nothing old', async (_name, steps) => {
    const log = await opened(10 * dayMs)
    for (const days of steps) {
      await log.write()
      log.clock.step(days * dayMs)
      await look(log)
      await log.write()
      log.clock.advance(hourMs)
      await look(log)
      await look(log)
    }
    expect(log.pruned).toEqual([])
    expect(firstOf(log.dir, 'traffic')).toBe(0)
  })

  it('what was written before a step back and after goes in its time, once the clock is right', async () => {
    const log = await opened(10 * dayMs)
    await log.write()
    log.clock.step(-30 * dayMs)
    await log.write()
    log.clock.advance(11 * dayMs)
    await look(log)
    expect(log.pruned).toEqual([])
    log.clock.step(30 * dayMs)
    await look(log)
    expect(log.pruned).toMatchObject([{ first: 0, last: 99, reason: 'age' }])
    expect(firstOf(log.dir, 'traffic')).toBe(100)
  })

  it('the record of a deletion is not deleted by the same look, however short lines are kept', async () => {
    const log = await opened(1)
    await log.write()
    log.clock.advance(hourMs)
    await look(log)
    expect(log.pruned).toMatchObject([{ first: 0, last: 49 }])
  })

  describe('at a start', () => {
    /** A log that was closed at `started`, in several segments. */
    async function closed(): Promise<string> {
      const dir = tempFolder()
      const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 3000 } })
      log.write('traffic', 200)
      await log.close()
      for (const name of ['traffic', 'security', 'control']) {
        const segments = join(dir, 'a', name, 'segments')
        for (const one of readdirSync(segments)) utimesSync(join(segments, one), started / 1000, started / 1000)
      }
      return dir
    }
    const again = (dir: string, clock: FakeClock) =>
      openLog({ dir, instance: 'a', retention: { traffic: { maxAgeMs: 10 * hourMs } } }, { clock })

    it('goes what was kept long enough when the writer was away for less than a day', async () => {
      const dir = await closed()
      const clock = fakeClock(started + 11 * hourMs)
      const log = await again(dir, clock)
      await until(() => {
        clock.advance(1)
        return firstOf(dir, 'traffic') >= 200
      })
      expect(clock.now()).toBeLessThan(started + 12 * hourMs)
      await log.close()
    })

    it('waits an hour after a day without a line, for the clock may be wrong', async () => {
      const dir = await closed()
      const clock = fakeClock(started + 400 * dayMs)
      const log = await again(dir, clock)
      for (let minutes = 0; minutes < 59; minutes++) {
        clock.advance(60_000)
        for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate)
      }
      expect(firstOf(dir, 'traffic')).toBe(0)
      await until(() => {
        clock.advance(1000)
        return firstOf(dir, 'traffic') >= 200
      })
      await log.close()
    })

    it('goes nothing where the clock is set right within that hour', async () => {
      const dir = await closed()
      const clock = fakeClock(started + 400 * dayMs)
      const log = await again(dir, clock)
      clock.advance(60_000)
      clock.step(-400 * dayMs)
      await anHour(clock)
      await anHour(clock)
      expect(prunedOf(log)).toEqual([])
      await log.close()
      expect(firstOf(dir, 'traffic')).toBe(0)
    })

    it('goes nothing where the clock is behind', async () => {
      const dir = await closed()
      const clock = fakeClock(started - 400 * dayMs)
      const log = await again(dir, clock)
      log.write('traffic', 10)
      await anHour(clock)
      await anHour(clock)
      expect(prunedOf(log)).toEqual([])
      await log.close()
      expect(firstOf(dir, 'traffic')).toBe(0)
    })
  })
})

it('a log keeps a size of its own, whatever is left of the budget', async () => {
  const dir = tempFolder()
  const config = fileSinkSchema.parse({ dir, instance: 'a' })
  const control = { maxAgeMs: 1e12, maxBytes: 40_000 }
  const log = await openLog(
    { dir, instance: 'a' },
    { config: { ...config, retention: { ...config.retention, control } } },
  )
  for (let round = 0; round < 20; round++) {
    await log.sink.durable('control', log.write('control', 50))
    await log.sink.durable('traffic', log.write('traffic', 50))
  }
  await until(() => bytesOfLog(dir, 'control') <= 40_000)
  await log.close()
  expect(firstOf(dir, 'traffic')).toBe(0)
  expect(firstOf(dir, 'control')).toBeGreaterThan(500)
  expect(log.notices.find(({ event }) => event === 'audit.pruned')).toMatchObject({ facts: { reason: 'size' } })
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

it('of 90 % of the traffic leaves what verifies, and every proof that was made before', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 10_000 } })
  await log.sink.durable('traffic', log.write('traffic', 3000))
  await log.close()
  const before = new Map<string, Buffer>()
  const tiles = join(dir, 'a/traffic/tile')
  for (const name of readdirSync(tiles, { recursive: true, encoding: 'utf8' }))
    if (!name.includes('.p') && statSync(join(tiles, name)).isFile()) before.set(name, readFileSync(join(tiles, name)))
  const note = readFileSync(join(dir, 'a/traffic/checkpoint'))
  const again = await openLog({ dir, instance: 'a', maxBytes: 75_000, segment: { maxBytes: 10_000 } })
  await until(() => firstOf(dir, 'traffic') >= 2700)
  await again.close()
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
  // What proofs are made of: the full tiles, and a checkpoint that the new one contains.
  expect(before.size).toBeGreaterThan(10)
  for (const [name, bytes] of before) expect(readFileSync(join(tiles, name))).toEqual(bytes)
  const [, size, root] = note.toString().split('\n')
  const tree = new Tree()
  for (const [name, bytes] of [...before].filter(([name]) => name.startsWith('0/')).sort())
    for (let at = 0; at < bytes.length; at += 32) {
      expect(name).toMatch(/^0\//)
      if (tree.size < Number(size)) tree.push(toHash(bytes, at))
    }
  for (const hash of (await readTile(join(dir, 'a/traffic'), 0, Math.floor(3000 / 256), 3000 % 256)) ?? [])
    tree.push(hash)
  expect(fromHash(tree.root()).toString('base64')).toBe(root)
})

describe('what sinks have not got', () => {
  it('is told, and goes only after they know', async () => {
    const dir = tempFolder()
    const config = fileSinkSchema.parse({ dir, instance: 'a' })
    const notices: StoreNotice[] = []
    const known: string[] = []
    let next = 0
    const store = await Store.open(
      {
        ...config,
        maxBytes: 50_000,
        segment: { maxBytes: 10_000, maxAgeMs: 1e9, compress: 'none' },
      },
      sinkContext,
      {
        grown: () => undefined,
        notify(notice) {
          notices.push(notice)
          if (notice.event !== 'audit.pruned') return
          const path = join(dir, 'a/cursors/behind.json')
          if (existsSync(path)) known.push(readFileSync(path, 'utf8'))
          const line = lineAt(store.opened.heads.traffic.origin, next, { event_name: notice.event, log: notice.facts })
          if (store.writers.traffic.append(next, line)) next++
        },
      },
    )
    const cursor = await store.source.cursor('behind', 'oldest')
    cursor.advance('traffic', 100)
    const { origin } = store.opened.heads.traffic
    for (let i = 0; i < 1500; i++, next++) store.writers.traffic.append(next, lineAt(origin, next))
    await store.writers.traffic.durable(next - 1)
    await store.prune()
    await store.close(600_000)
    await store.release()
    const facts = notices.filter(({ event }) => event === 'audit.pruned').map((notice) => notice.facts)
    expect(facts[0]).toMatchObject({ first: 0, reason: 'budget' })
    for (const { first, last, undelivered } of facts)
      expect(undelivered).toBe(Math.max(0, Number(last) + 1 - Math.max(100, Number(first))))
    expect(Number(facts.at(-1)!.undelivered)).toBeGreaterThan(0)
    // Once one deletion was made, the cursor is on disk.
    expect(known.length).toBeGreaterThan(0)
    for (const text of known) expect(JSON.parse(text).logs.traffic.next).toBe(100)
    expect(await verifyLog(dir)).toMatchObject({ ok: true })
  })
})
