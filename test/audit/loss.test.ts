// What a sink does not get is counted exactly, whatever it does.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { refuse, trail } from '../support/trail.ts'

it('what is refused for good becomes an exact gap, and the next goes on', async () => {
  const t = trail({ lines: 3, intervalMs: 10 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  t.sink.script.push(refuse({ permanent: true }))
  t.record(6)
  await t.settle(() => t.sink.events('audit.gap').length === 1)
  expect(t.sink.events('audit.gap')[0]).toMatchObject({
    outcome: 'failure',
    log: { sink: 'kept', first: 0, last: 2, count: 3, reason: 'rejected' },
  })
  expect(t.apps()).toEqual([3, 4, 5])
})

it('one that refuses everything is told once, and is not flooded with the telling of it', async () => {
  const t = trail({ intervalMs: 10 })
  await t.audit.ready()
  t.sink.script.push(...Array.from({ length: 1000 }, () => refuse({ permanent: true })))
  let emitted = 1
  t.audit.on('*', () => emitted++)
  for (let i = 0; i < 20; i++) {
    t.record(1)
    const { writes } = t.sink
    await t.settle(() => t.sink.writes > writes)
  }
  expect(t.sink.writes).toBeLessThan(50)
  expect(t.logger.told).toHaveLength(1)
  let undelivered: number | undefined
  void t.audit.close({ deadlineMs: 100 }).then((closed) => {
    undelivered = closed.undelivered.kept
  })
  await t.settle(() => undelivered !== undefined)
  expect(undelivered).toBe(emitted)
})

it('delivered + gaps + undelivered = emitted, whatever a sink does', async () => {
  const step = fc.constantFrom('ok', 'ok', 'fail', 'permanent', 'burst', 'tick')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const t = trail({ lines: 3, intervalMs: 10, queueBytes: 4000 })
      let emitted = 0
      t.audit.on('*', () => emitted++)
      await t.audit.ready()
      const opened = 1
      for (const one of steps) {
        if (one === 'burst') t.record(8, 100)
        else if (one === 'tick') await t.settle(() => true)
        else t.sink.script.push(one === 'ok' ? undefined : refuse({ permanent: one === 'permanent' }))
      }
      let closed: Record<string, number> | undefined
      void t.audit.close({ deadlineMs: 60_000 }).then(({ undelivered }) => {
        closed = { ...undelivered }
      })
      await t.settle(() => closed !== undefined)
      const gaps = t.sink.events('audit.gap').reduce((sum, { log }) => sum + log.count, 0)
      const delivered = t.sink.events().length
      const seen = new Set(t.sink.events().map(({ audit: { origin, index } }) => `${origin}/${index}`))
      expect(seen.size).toBe(delivered)
      // The line that says it is open was emitted before anybody could listen.
      expect(delivered + gaps + (closed!.kept ?? 0)).toBeGreaterThanOrEqual(emitted)
      expect(delivered + gaps + (closed!.kept ?? 0)).toBeLessThanOrEqual(emitted + opened)
    }),
    { numRuns: 100 },
  )
})
