// Lines that wait in memory: what a sink gets that comes when there was none before.
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { collect, keepLogger } from '../support/sinks.ts'
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
