// What a sink does not get is counted exactly, whatever it does.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { onlyTells, toldBy } from '../../src/audit/telling.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { collect, keepLogger, memoryStore } from '../support/sinks.ts'
import { refuse, trail } from '../support/trail.ts'
import { until } from '../support/until.ts'

/** Refuses each batch that holds a line like this, for good. */
const poisoned = (mark: string) => (lines: readonly string[]) => lines.some((line) => line.includes(mark))

/** A trail whose sink refuses batches by what is in them, before the script has its turn. */
function picky(refuses: (lines: readonly string[]) => boolean, ...given: Parameters<typeof trail>) {
  const t = trail(...given)
  const write = t.sink.write.bind(t.sink)
  const state = { refusals: 0 }
  t.sink.write = async (batch, signal) => {
    if (refuses(batch.lines)) {
      state.refusals++
      await refuse({ permanent: true })()
    }
    await write(batch, signal)
  }
  return { ...t, state }
}

it('what is refused for good is narrowed down to the line, which becomes an exact gap', async () => {
  const t = picky(poisoned('"i":37'), { lines: 100, intervalMs: 10 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  t.record(100)
  await t.settle(() => t.sink.events('audit.gap').length === 1)
  expect(t.sink.events('audit.gap')[0]).toMatchObject({
    outcome: 'failure',
    log: { sink: 'kept', first: 37, last: 37, count: 1, reason: 'rejected' },
  })
  expect(t.apps()).toEqual(Array.from({ length: 100 }, (_, i) => i).filter((i) => i !== 37))
  // 100 lines are halved six times, until one is left.
  expect(t.state.refusals).toBe(7)
})

it('a sink that names what it refuses is asked no more, and keeps all else', async () => {
  const t = trail({ lines: 10, intervalMs: 10 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  const { writes } = t.sink
  t.sink.script.push(refuse({ rejected: [2, 3, 7] }))
  t.record(10)
  await t.settle(() => t.sink.events('audit.gap').length === 2)
  expect(t.sink.events('audit.gap').map(({ log }) => [log.first, log.last, log.count])).toEqual([
    [2, 3, 2],
    [7, 7, 1],
  ])
  expect(t.sink.writes).toBe(writes + 2)
})

it('a sink that names none of the lines that it refuses is asked for each, and none of them is taken for accepted', async () => {
  const t = trail({ lines: 4, intervalMs: 10 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  // Places in the batch, where indexes of the log are expected.
  t.record(100)
  await t.settle(() => t.apps().length === 100)
  t.sink.script.push(refuse({ rejected: [0, 1] }))
  const { writes } = t.sink
  t.record(4)
  await t.settle(() => t.sink.writes === writes + 3)
  await t.settle(() => t.apps().length === 104)
})

it('a sink that asks for earlier lines gets them again, and one that asks for what it gets is not asked without a pause', async () => {
  const t = trail({ lines: 10, intervalMs: 10 })
  const behind = {
    name: 'behind',
    feed: { intervalMs: 1, lines: 10_000 },
    write: () => new Promise<void>(() => undefined),
  }
  t.audit.addSink(behind)
  await t.audit.ready()
  t.record(10)
  await t.settle(() => t.apps().length === 10)
  t.sink.script.push(refuse({ resumeAt: 4 }))
  t.record(10)
  await t.settle(() => t.apps().length === 10 + 16)
  expect(t.apps().slice(10)).toEqual(Array.from({ length: 16 }, (_, i) => (i + 4) % 10))
  t.sink.script.push(...Array.from({ length: 1000 }, () => refuse({ resumeAt: 20 })))
  const { writes } = t.sink
  t.record(1)
  for (let i = 0; i < 20; i++) await t.settle(() => true)
  expect(t.sink.writes).toBeLessThan(writes + 30)
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
  expect(t.sink.writes).toBeLessThan(200)
  let undelivered: number | undefined
  void t.audit.close({ deadlineMs: 100 }).then((closed) => {
    undelivered = closed.undelivered.kept
  })
  await t.settle(() => undelivered !== undefined)
  expect(undelivered).toBe(emitted)
})

it('a sink that has refused what told of its losses as well is told of all once it takes something', async () => {
  let refuses = false
  const t = picky(() => refuses, { intervalMs: 10 })
  let emitted = 0
  t.audit.on('*', () => emitted++)
  await t.audit.ready()
  t.record(1)
  await t.settle(() => t.apps().length === 1)
  refuses = true
  t.record(1)
  await t.settle(() => t.state.refusals >= 3)
  refuses = false
  t.record(1)
  await t.settle(() => t.sink.events('audit.gap').length > 0)
  let undelivered: object | undefined
  void t.audit.close({ deadlineMs: 60_000 }).then((closed) => {
    undelivered = closed.undelivered
  })
  await t.settle(() => undelivered !== undefined)
  expect(undelivered).toEqual({})
  const told = t.sink.events('audit.gap').reduce((sum, { log }) => sum + log.count, 0)
  expect(told).toBeGreaterThanOrEqual(2)
  // 'audit.opened' came before the listener.
  expect(t.sink.events().length + told).toBe(emitted + 1)
})

it('a sink that refuses just what tells of its losses gets a second such line, and no third', async () => {
  const t = picky(poisoned('"audit.gap"'), { lines: 1, intervalMs: 10 })
  let gaps = 0
  t.audit.on('audit.gap', () => gaps++)
  await t.audit.ready()
  t.sink.script.push(refuse({ permanent: true }))
  t.record(1)
  for (let i = 1; i < 50; i++) {
    t.record(1)
    await t.settle(() => t.apps().at(-1) === 0 && t.sink.events().length > i)
  }
  expect(gaps).toBe(2)
  let undelivered: number | undefined
  void t.audit.close({ deadlineMs: 60_000 }).then((closed) => {
    undelivered = closed.undelivered.kept
  })
  await t.settle(() => undelivered !== undefined)
  // The line, the one that told of it, and the one that told of both.
  expect(undelivered).toBe(3)
})

it('delivered + gaps + undelivered = emitted, whatever a sink does', async () => {
  const step = fc.constantFrom('ok', 'ok', 'fail', 'permanent', 'burst', 'tick')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const t = trail({ lines: 3, intervalMs: 10 }, 'kept', { queueBytes: 65_536 })
      let emitted = 0
      t.audit.on('*', () => emitted++)
      await t.audit.ready()
      const opened = 1
      for (const one of steps) {
        if (one === 'burst') t.record(12, 1000)
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

it.each(['audit.gap', 'audit.sink_changed'])(
  'one that refuses %s lines for good, and takes all others, is not told of that by further ones',
  async (name) => {
    const t = trail({ intervalMs: 10 })
    await t.audit.ready()
    await t.settle(() => t.sink.events('audit.opened').length === 1)
    const write = t.sink.write.bind(t.sink)
    let refusals = 0
    t.sink.write = async (batch, signal) => {
      if (batch.lines.some((line) => JSON.parse(line).event_name === name)) {
        refusals++
        await refuse({ permanent: true })()
      }
      await write(batch, signal)
    }
    let emitted = 1
    const told: string[] = []
    t.audit.on('*', ({ event_name }) => {
      emitted++
      if (event_name.startsWith('audit.')) told.push(event_name)
    })
    t.sink.script.push(refuse({ permanent: true }))
    for (let i = 0; i < 4; i++) {
      t.record(1)
      await t.settle(() => t.sink.writes >= 2 + i)
      for (let n = 0; n < 200; n++) await t.settle(() => true)
    }
    expect(refusals).toBeGreaterThan(0)
    expect(told.length).toBeLessThan(20)
    expect(t.apps()).toHaveLength(3)
    let undelivered: number | undefined
    void t.audit.close({ deadlineMs: 1000 }).then((closed) => {
      undelivered = closed.undelivered.kept ?? 0
    })
    await t.settle(() => undefined !== undelivered)
    const gaps = t.sink.events('audit.gap').reduce((sum, { log }) => sum + log.count, 0)
    expect(t.sink.events().length + gaps + undelivered!).toBe(emitted)
  },
)

it('after a refusal for good there is a pause, too, before the next batch', async () => {
  const t = trail({ lines: 1, intervalMs: 10 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  t.sink.script.push(refuse({ permanent: true, retryAfterMs: 5000 }))
  t.record(2)
  await until(() => t.logger.told.length >= 2)
  const { writes } = t.sink
  t.clock.advance(4999)
  for (let i = 0; i < 20; i++) await t.audit.ready()
  expect(t.sink.writes).toBe(writes)
  await t.settle(() => t.apps().length === 1)
})

it('a range whose gap found no room in the log is told later, once', async () => {
  const store = memoryStore()
  const clock = fakeClock()
  const sink = collect('kept', { intervalMs: 10 })
  const audit = createAudit({ sinks: [store, sink], clock, logger: keepLogger(), random: { uint32: () => 0 } })
  await audit.ready()
  const settle = (done: () => boolean) =>
    until(() => {
      clock.advance(50)
      return done()
    })
  await settle(() => sink.events('audit.opened').length === 1)
  sink.script.push(() => {
    store.takes = false
    return refuse({ permanent: true })()
  })
  audit.record('access.denied', { rule: 'r' })
  for (let n = 0; n < 50; n++) await settle(() => true)
  expect(sink.events('audit.gap')).toEqual([])
  store.takes = true
  await settle(() => sink.events('audit.gap').some(({ log }) => log.sink === 'kept'))
  for (let n = 0; n < 50; n++) await settle(() => true)
  expect(sink.events('audit.gap').filter(({ log }) => log.sink === 'kept')).toMatchObject([
    { log: { first: 0, last: 0, count: 1, reason: 'rejected' } },
  ])
})

it('the telling of what memory could not hold pushes out nothing that has to be told in turn', async () => {
  const t = trail({ intervalMs: 10 }, 'kept', { queueBytes: 65_536 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  let told = 0
  // It would never end by itself, nor let anything else have its turn.
  t.audit.on('audit.gap', () => {
    if (++told === 100) void t.audit.close({ deadlineMs: 0 })
  })
  let goOn = (): void => undefined
  t.sink.script.push(
    () =>
      new Promise((resolve) => {
        goOn = resolve
      }),
  )
  // Shorter than the line that tells of their loss.
  t.record(1)
  await t.settle(() => t.sink.script.length === 0)
  t.record(1000)
  goOn()
  await t.settle(() => t.apps().at(-1) === 999 || told === 100)
  // The first may have found no room.
  expect(told).toBeLessThanOrEqual(2)
  const lost = t.sink.events('audit.gap').reduce((sum, { log }) => sum + log.count, 0)
  expect(t.apps().length + lost).toBe(1001)
})

it('a gap whose own line is lost before the sink has it is told anew', async () => {
  const t = trail({ intervalMs: 10, lines: 20 }, 'kept', { queueBytes: 65_536 })
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  let emitted = 1
  let told = 0
  t.audit.on('*', ({ event_name }) => {
    emitted++
    if (event_name === 'audit.gap') told++
  })
  let goOn = (): void => undefined
  const hang = () =>
    new Promise<void>((resolve) => {
      goOn = resolve
    })
  t.sink.script.push(hang, hang)
  t.record(1)
  await t.settle(() => t.sink.script.length === 1)
  t.record(1000)
  goOn()
  // It has been told, and the sink hangs before it gets there.
  await t.settle(() => t.sink.script.length === 0)
  const before = told
  expect(before).toBeGreaterThan(0)
  t.record(1000)
  goOn()
  await t.settle(() => t.sink.events('app.x').length > 0 && t.apps().at(-1) === 999 && told > before)
  let undelivered: number | undefined
  void t.audit.close({ deadlineMs: 60_000 }).then((closed) => {
    undelivered = closed.undelivered.kept ?? 0
  })
  await t.settle(() => undelivered !== undefined)
  expect(undelivered).toBe(0)
  const gaps = t.sink.events('audit.gap').reduce((sum, { log }) => sum + log.count, 0)
  expect(t.sink.events().length + gaps).toBe(emitted)
})

it.each([
  { logs: ['control'] as const },
  { events: ['config.*', 'balancer.draining'] },
  { events: ['audit.opened'], logs: ['security', 'control'] as const },
])('a sink that is away has missed nothing of the logs that hold nothing for it: %j', async (filter) => {
  const t = trail({ intervalMs: 10 }, 'kept', { queueBytes: 65_536 })
  const away = { ...collect('away', { intervalMs: 10 }), filter }
  away.write = async () => {
    throw new Error('away')
  }
  t.audit.addSink(away)
  await t.audit.ready()
  await t.settle(() => t.sink.events('audit.opened').length === 1)
  const gaps: unknown[] = []
  t.audit.on('audit.gap', ({ log }) => gaps.push(log))
  for (let n = 0; n < 10; n++) {
    t.record(100, 100)
    await t.settle(() => t.apps().length === 100 * (n + 1))
  }
  expect(gaps).toEqual([])
  let undelivered: number | undefined
  void t.audit.close({ deadlineMs: 1000 }).then((closed) => {
    undelivered = closed.undelivered.away ?? 0
  })
  await t.settle(() => undelivered !== undefined)
  // Those of control.
  expect(undelivered).toBeLessThan(10)
})

it('one that asks for the same lines again and again gets them after growing pauses', async () => {
  const t = trail({ lines: 10, intervalMs: 10 })
  const holding = { ...collect('holding'), write: () => new Promise<void>(() => undefined) }
  t.audit.addSink(holding)
  await t.audit.ready()
  const write = t.sink.write.bind(t.sink)
  let asked = 0
  t.sink.write = async (batch, signal) => {
    if (batch.origin.includes('/traffic/') && batch.first >= 10 && ++asked) await refuse({ resumeAt: 0 })()
    await write(batch, signal)
  }
  t.record(20)
  await t.settle(() => asked === 2)
  const began = t.clock.monoUs()
  await t.settle(() => asked === 5)
  // 2, 4 and 8 seconds.
  expect((t.clock.monoUs() - began) / 1000).toBeGreaterThanOrEqual(14_000)
})

it.each([
  '{"event_name":"audit.gap","log":{"count":5',
  '{"event_name":"audit.gap"}',
  '{"event_name":"audit.gap","log":null}',
  '["event_name":"audit.sink_changed"]',
])('a line that somebody has changed tells of no loss: %s', (line) => {
  expect([onlyTells(line), toldBy(line, 'kept')]).toEqual([false, undefined])
})
