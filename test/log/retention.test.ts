// The folder keeps its budget, and what is left still verifies.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { systemClock } from '../../src/clock.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { seededRandom } from '../../src/random.ts'
import { stderrLogger } from '../../src/runtime.ts'
import type { StoreNotice } from '../../src/sink.ts'
import { fileSinkSchema, fileStore } from '../../src/sinks/file.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { lineAt, openLog } from '../support/log.ts'
import { until } from '../support/until.ts'

const sinkContext = { service: 'shop', clock: systemClock, random: seededRandom(1), logger: stderrLogger }

/** Bytes of all segments: hashes come on top of the budget. */
const bytesOfLines = (dir: string): number =>
  ['traffic', 'security', 'control'].reduce((sum, log) => {
    const segments = join(dir, 'a', log, 'segments')
    return readdirSync(segments).reduce(
      (all, name) => all + (statSync(join(segments, name), { throwIfNoEntry: false })?.size ?? 0),
      sum,
    )
  }, 0)

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
    expect(bytesOfLines(dir)).toBeLessThan(maxBytes)
  }
  await log.close()
  expect(firstOf(dir, 'traffic')).toBeGreaterThan(0)
  expect([firstOf(dir, 'security'), firstOf(dir, 'control')]).toEqual([0, 0])
  const report = await verifyLog(dir)
  expect(report.ok).toBe(true)
  const traffic = report.instances[0]!.logs[0]!
  const pruned = log.notices.filter((notice) => notice.event === 'audit.pruned')
  expect(traffic).toMatchObject({ signed: 2000 + pruned.length, pruned: firstOf(dir, 'traffic') })
  expect(pruned[0]).toMatchObject({ log: 'traffic', facts: { first: 0, bytes: expect.any(Number) } })
  expect(pruned.at(-1)?.facts.last).toBe(traffic.pruned - 1)

  const again = await openLog({ dir, instance: 'a', maxBytes })
  expect(again.opened.heads.traffic.next).toBe(2000 + pruned.length)
  await again.sink.durable('control', again.write('control', 2000, { text }))
  await again.close()
  expect(firstOf(dir, 'control')).toBeGreaterThan(0)
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
    await sink.close(5000)
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
  await log.close()
  expect(firstOf(dir, 'traffic')).toBeGreaterThan(1000)
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
    await setTimeout(round * 7)
    expect(await trail.close()).toEqual({ undelivered: {} })
    const { ok, instances } = await verifyLog(dir)
    expect(instances[0]!.logs.flatMap((one) => one.problems)).toEqual([])
    expect(ok).toBe(true)
  }
  expect(firstOf(dir, 'traffic')).toBeGreaterThan(0)
})
