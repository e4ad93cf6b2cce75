// Lines that wait in memory: what a sink gets that comes when there was none before.
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { collect, keepLogger } from '../support/sinks.ts'
import { refuse, trail } from '../support/trail.ts'
import { until } from '../support/until.ts'

it.each(['now', 'oldest'] as const)(
  'the first sink of a trail that had none begins with the lines from then on, and is told of no gap (%s)',
  async (from) => {
    const audit = createAudit({ logger: keepLogger() })
    await audit.ready()
    const gaps: unknown[] = []
    audit.on('audit.gap', ({ log }) => gaps.push(log))
    for (let i = 0; i < 40; i++) audit.record('app.x', { i })
    const late = collect('late', { intervalMs: 1, from })
    audit.addSink(late)
    for (let i = 40; i < 45; i++) audit.record('app.x', { i })
    await until(() => late.events('app.x').length === 5)
    expect((await audit.close()).undelivered).toEqual({})
    expect(gaps).toEqual([])
    expect(late.events().map((event) => event.app?.i ?? event.event_name)).toEqual([40, 41, 42, 43, 44, 'audit.closed'])
    expect(late.batches[0]).toMatchObject({ first: 40 })
  },
)

it('a first sink that comes just before the end gets what it still can, at once', async () => {
  const audit = createAudit({ logger: keepLogger() })
  await audit.ready()
  for (let i = 0; i < 3; i++) audit.record('app.x', { i })
  const late = collect('late', { intervalMs: 60_000 })
  audit.addSink(late)
  audit.record('access.denied', { rule: 'r' })
  expect((await audit.close()).undelivered).toEqual({})
  expect(late.events().map(({ event_name }) => event_name)).toEqual(['audit.closed', 'access.denied'])
})

it('a sink that is well again just when close begins gets what still waits, and what was dropped is counted, at once', async () => {
  const t = trail({ intervalMs: 10 }, 'kept', { queueBytes: 65_536 })
  let emitted = 1
  t.audit.on('*', () => emitted++)
  await t.audit.ready()
  let away = true
  const write = t.sink.write.bind(t.sink)
  t.sink.write = async (batch, signal) => {
    if (away) await refuse({ retryAfterMs: 100 })()
    await write(batch, signal)
  }
  t.record(500, 100)
  await t.settle(() => t.logger.told.length > 0)
  away = false
  const began = t.clock.monoUs()
  const closing = t.audit.close({ deadlineMs: 60_000 })
  let undelivered: number | undefined
  void closing.then((closed) => {
    undelivered = closed.undelivered.kept
  })
  await t.settle(() => undelivered !== undefined)
  expect((t.clock.monoUs() - began) / 1000).toBeLessThan(2000)
  expect(t.apps()).toEqual(Array.from({ length: t.apps().length }, (_, i) => i + 500 - t.apps().length))
  expect(t.apps().length).toBeGreaterThan(50)
  expect(t.sink.events().length + undelivered!).toBe(emitted)
})

it('a sink that is away and has much to get pushes out nothing that another one is about to get', async () => {
  const t = trail({ intervalMs: 500, lines: 100 }, 'kept', { queueBytes: 65_536 })
  const away = { ...collect('away', { intervalMs: 10 }), filter: { logs: ['security'] as const } }
  away.write = async () => {
    throw new Error('away')
  }
  t.audit.addSink(away)
  await t.audit.ready()
  const gaps: unknown[] = []
  t.audit.on('audit.gap', ({ log }) => gaps.push(log.sink))
  for (let n = 1; n <= 5; n++) {
    for (let i = 0; i < 100; i++) t.audit.record('access.denied', { rule: 'r' })
    await t.settle(() => t.sink.events('access.denied').length === 100 * n)
  }
  for (let n = 1; n <= 10; n++) {
    // All of them wait at once.
    t.record(95, 10)
    await t.settle(() => t.apps().length === 95 * n)
  }
  expect(gaps).toEqual([])
})
