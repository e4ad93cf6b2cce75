// A trail on a clock that stands still, with one sink that does as it is told.
import { createAudit } from '../../src/audit/create.ts'
import type { AuditOptions } from '../../src/audit/options.ts'
import { seededRandom } from '../../src/random.ts'
import type { Sink } from '../../src/sink.ts'
import { fakeClock } from './fake-clock.ts'
import { collect, keepLogger } from './sinks.ts'
import { until } from './until.ts'

/** A write that fails with an error that has these fields. */
export const refuse = (fields: object) => async () => {
  throw Object.assign(new Error('no'), fields)
}

export function trail(feed: Sink['feed'] = { intervalMs: 100 }, name = 'kept', options: AuditOptions = {}) {
  const clock = fakeClock()
  const logger = keepLogger()
  const sink = collect(name, feed)
  const audit = createAudit({ sinks: [sink], ...options, clock, logger, random: seededRandom(3) })
  const record = (n: number, size = 1) => {
    for (let i = 0; i < n; i++) audit.record('app.x', { i, pad: 'x'.repeat(size) })
  }
  const settle = async (done: () => boolean) => {
    await until(() => {
      clock.advance(50)
      return done()
    })
  }
  return { audit, sink, clock, logger, record, settle, apps: () => sink.events('app.x').map(({ app }) => app.i) }
}
