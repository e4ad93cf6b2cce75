// Delivery: batches, order, retries, and sinks that hang.
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import type { Sink } from '../../src/sink.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { collect, keepLogger } from '../support/sinks.ts'
import { refuse, trail } from '../support/trail.ts'
import { until } from '../support/until.ts'
import { codeOf } from '../support/watched.ts'

it('a batch is sent when the interval is over, with origin, range, lines and bytes', async () => {
  const t = trail()
  await t.audit.ready()
  t.record(3)
  t.clock.advance(99)
  expect(t.sink.writes).toBe(0)
  t.clock.advance(1)
  await until(() => t.apps().length === 3)
  for (const { origin, first, last, lines, bytes } of t.sink.batches) {
    expect(lines).toHaveLength(last - first + 1)
    expect(bytes).toBe(Buffer.byteLength(`${lines.join('\n')}\n`))
    lines.forEach((line, i) => {
      expect(JSON.parse(line).audit).toMatchObject({ origin, index: first + i })
    })
  }
})

it('a batch is sent at once when it is full by lines, and is never larger by lines or by bytes', async () => {
  const lines = trail({ lines: 4, intervalMs: 60_000 })
  await lines.audit.ready()
  lines.record(12)
  await until(() => lines.apps().length >= 12)
  expect(Math.max(...lines.sink.batches.map((batch) => batch.lines.length))).toBe(4)
  const bytes = trail({ bytes: 2000, intervalMs: 100 })
  await bytes.audit.ready()
  bytes.record(12, 500)
  await bytes.settle(() => bytes.apps().length === 12)
  expect(Math.max(...bytes.sink.batches.map((batch) => batch.bytes))).toBeLessThanOrEqual(2000)
})

it('one write at a time, in order; a failed batch comes again as it was, before any other', async () => {
  const t = trail({ lines: 2, intervalMs: 10 })
  await t.audit.ready()
  let running = 0
  const seen: string[] = []
  const write = t.sink.write.bind(t.sink)
  t.sink.write = async (batch, signal) => {
    expect(++running).toBe(1)
    seen.push(`${batch.origin.split('/')[2]}/${batch.first}-${batch.last}`)
    await write(batch, signal).finally(() => running--)
  }
  t.sink.script.push(undefined, refuse({}), refuse({}))
  t.record(6)
  await t.settle(() => t.apps().length === 6)
  expect(t.apps()).toEqual([0, 1, 2, 3, 4, 5])
  expect(seen[1]).toBe(seen[2])
  expect(seen[2]).toBe(seen[3])
})

it('tells a failing sink once, and once that it is well', async () => {
  const t = trail({ intervalMs: 10 })
  const changes: unknown[] = []
  t.audit.on('audit.sink_changed', ({ log }) => changes.push(log))
  await t.audit.ready()
  t.sink.script.push(refuse({}), refuse({}), refuse({}))
  t.record(1)
  await t.settle(() => t.apps().length === 1)
  expect(changes).toEqual([
    { sink: 'kept', from: 'ok', to: 'failing', failures: 1, waiting: expect.any(Number), last_error: 'no' },
    { sink: 'kept', from: 'failing', to: 'ok', failures: 3, waiting: expect.any(Number) },
  ])
  expect(t.logger.told.map(({ level }) => level)).toEqual(['warn', 'warn'])
})

it('a sink that fails every other time is not kept busy by what is told of that', async () => {
  const t = trail({ intervalMs: 10 })
  const changes: { to: string; untold?: number | undefined }[] = []
  t.audit.on('audit.sink_changed', ({ log }) => changes.push(log))
  await t.audit.ready()
  const write = t.sink.write.bind(t.sink)
  let calls = 0
  t.sink.write = async (batch, signal) => {
    if (++calls % 2 === 1) await refuse({})()
    await write(batch, signal)
  }
  t.record(1)
  const pass = async (ms: number) => {
    for (let i = 0; i < ms / 250; i++) {
      t.clock.advance(250)
      await new Promise(setImmediate)
    }
  }
  await pass(50_000)
  expect(changes.map(({ to }) => to)).toEqual(['failing', 'ok'])
  await pass(300_000)
  // Each minute there is a heartbeat.
  expect(changes.length).toBeLessThanOrEqual(14)
  changes.forEach(({ to }, i) => {
    expect(to).toBe(i % 2 === 0 ? 'failing' : 'ok')
  })
  expect(changes.slice(2).some(({ untold }) => untold !== undefined && untold > 0)).toBe(true)
})

it('an outage soon after another one is told once it has lasted, though the sink asks for a long pause', async () => {
  const t = trail({ intervalMs: 10 })
  const changes: unknown[] = []
  t.audit.on('audit.sink_changed', ({ log: { from, to, last_error } }) => changes.push([from, to, last_error]))
  await t.audit.ready()
  t.sink.script.push(refuse({}))
  t.record(1)
  await t.settle(() => changes.length === 2 && t.sink.events('audit.sink_changed').length === 2)
  t.sink.script.push(refuse({ retryAfterMs: 600_000 }))
  t.record(1)
  await t.settle(() => t.logger.told.length === 3)
  expect(changes).toHaveLength(2)
  t.clock.advance(60_000)
  expect(changes).toEqual([
    ['ok', 'failing', 'no'],
    ['failing', 'ok', undefined],
    ['ok', 'failing', 'no'],
  ])
})

it.each([
  [{ retryAfterMs: 5000 }, 5000],
  [{ retryAfterMs: Number.NaN }, 0],
  [{ retryAfterMs: -1 }, 0],
  [{ retryAfterMs: Number.POSITIVE_INFINITY }, 86_400_000],
])('%j: not before %i ms', async (fields, ms) => {
  const t = trail({ intervalMs: 10 })
  await t.audit.ready()
  t.sink.script.push(refuse(fields))
  t.clock.advance(10)
  await until(() => t.logger.told.length === 1)
  t.clock.advance(Math.max(0, ms - 1))
  expect(t.sink.writes).toBe(ms === 0 ? t.sink.writes : 1)
  t.clock.advance(251)
  await until(() => t.sink.writes >= 2)
})

it('pauses are drawn from 0 to a limit that doubles up to 30 s', async () => {
  const t = trail({ intervalMs: 10 })
  await t.audit.ready()
  t.sink.script.push(...Array.from({ length: 12 }, () => refuse({})))
  const pauses: number[] = []
  const after = t.clock.after
  t.clock.after = (ms, fn) => {
    if (ms !== 10_000 && ms !== 10 && ms !== 1000) pauses.push(ms)
    return after(ms, fn)
  }
  await t.settle(() => t.sink.events().length > 0)
  expect(pauses).toHaveLength(12)
  pauses.forEach((ms, i) => {
    expect(ms).toBeLessThan(Math.min(30_000, 250 * 2 ** i))
  })
  expect(Math.max(...pauses)).toBeGreaterThan(1000)
})

it('a write without an answer is given up: its signal aborts, and it comes again', async () => {
  const t = trail({ intervalMs: 10, timeoutMs: 500 })
  await t.audit.ready()
  const signals: AbortSignal[] = []
  const write = t.sink.write.bind(t.sink)
  t.sink.write = (batch, signal) => (signals.push(signal) === 1 ? new Promise(() => undefined) : write(batch, signal))
  t.record(1)
  await t.settle(() => t.apps().length === 1)
  expect(signals[0]!.aborted).toBe(true)
  expect(t.logger.told[0]!.fields.error).toBe('no answer within 500 ms')
})

it('a sink that hangs holds up no other one', async () => {
  const good = collect('good')
  const hangs: Sink = { name: 'hangs', feed: { intervalMs: 1 }, write: () => new Promise(() => undefined) }
  const clock = fakeClock()
  const audit = createAudit({ sinks: [hangs, good], clock, logger: keepLogger() })
  const passing = (holds: () => boolean) =>
    until(() => {
      clock.advance(1)
      return holds()
    })
  for (let i = 0; i < 100; i++) audit.record('app.x', { i })
  await passing(() => good.events('app.x').length === 100)
  let undelivered: Record<string, number> | undefined
  void audit.close({ deadlineMs: 60_000 }).then((closed) => {
    undelivered = { ...closed.undelivered }
  })
  await passing(() => good.events('audit.closed').length === 1)
  clock.advance(60_000)
  await passing(() => undelivered !== undefined)
  expect(undelivered).toEqual({ hangs: good.events().length })
})

it('a sink whose opening hangs or fails is told by ready, and gets its lines all the same', async () => {
  const clock = fakeClock()
  const slow = { ...collect('slow', { timeoutMs: 50, intervalMs: 1 }), open: () => new Promise<void>(() => undefined) }
  const audit = createAudit({ sinks: [slow], clock, logger: keepLogger() })
  const ready = codeOf(audit.ready())
  audit.record('app.x', {})
  clock.advance(49)
  expect(slow.writes).toBe(0)
  clock.advance(1)
  expect(await ready).toBe('sink-unavailable')
  await until(() => {
    clock.advance(10)
    return slow.events('app.x').length === 1
  })
})

it('close ends a write that hangs by its signal, and counts its lines', async () => {
  let aborted = false
  const sink: Sink = {
    name: 'hangs',
    feed: { intervalMs: 1 },
    write: (_, signal) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))),
  }
  const audit = createAudit({ sinks: [sink], logger: keepLogger() })
  audit.record('app.x', {})
  expect((await audit.close({ deadlineMs: 20 })).undelivered).toEqual({ hangs: 3 })
  expect(aborted).toBe(true)
})

it('a sink added before the log is open is opened once, with the others', async () => {
  const opened: string[] = []
  const early = { ...collect('early'), open: async () => void opened.push('early') }
  const audit = createAudit({ sinks: [fileSink({ dir: tempFolder() })] })
  audit.addSink(early)
  await audit.ready()
  expect(opened).toEqual(['early'])
  await audit.close()
})

it('a sink added at runtime gets every line from then on, under a name that is free', async () => {
  const first = collect('first')
  const audit = createAudit({ sinks: [first] })
  await audit.ready()
  audit.record('app.x', { i: 0 })
  const late = collect('late')
  audit.addSink(late)
  audit.record('app.x', { i: 1 })
  for (const bad of [collect('late'), collect(''), {}, null]) {
    expect(() => audit.addSink(bad as never)).toThrow(expect.objectContaining({ code: 'config-invalid' }))
  }
  await audit.close()
  expect(late.events('app.x').map(({ app }) => app.i)).toEqual([1])
  expect(first.events('audit.sink_changed')[0].log).toMatchObject({ sink: 'late', from: 'absent', to: 'ok' })
  expect(() => audit.addSink(collect('later'))).toThrow(expect.objectContaining({ code: 'closed' }))
})

it('whatever a sink throws, the process lives and the batch comes again', async () => {
  const circular: Record<string, unknown> = {}
  circular.self = circular
  const getter = Object.defineProperty(new Error('getter'), 'permanent', {
    get: () => {
      throw new Error('no')
    },
  })
  const thrown: unknown[] = [
    Object.assign(new Error('x'), { retryAfterMs: Symbol('y') }),
    getter,
    Object.assign(new Error('x'), { message: 5n }),
    Object.assign(new Error('x'), { message: circular }),
    Object.assign(new Error('x'), { message: Object.create(null) }),
    Object.create(null),
    Symbol('z'),
    undefined,
  ]
  for (const error of thrown) {
    const t = trail({ intervalMs: 10 })
    await t.audit.ready()
    t.sink.script.push(() => Promise.reject(error))
    t.record(1)
    await t.settle(() => t.apps().length === 1)
    expect(typeof t.logger.told[0]!.fields.error).toBe('string')
  }
})

it('a fault outside the sink loses nothing, and is told', async () => {
  const clock = fakeClock()
  const sink = collect('kept', { intervalMs: 10 })
  let broken = true
  const random = {
    uint32: () => {
      if (broken) throw new Error('no chance')
      return 0
    },
  }
  const logger = keepLogger()
  const audit = createAudit({ sinks: [sink], clock, logger, random })
  await audit.ready()
  sink.script.push(refuse({}))
  clock.advance(10)
  await until(() => logger.told.some(({ fields }) => fields.error === 'no chance'))
  broken = false
  audit.record('app.x', {})
  await until(() => {
    clock.advance(10)
    return sink.events('app.x').length === 1
  })
  const closing = audit.close()
  await until(() => {
    clock.advance(10)
    return sink.events('audit.closed').length === 1
  })
  expect((await closing).undelivered).toEqual({})
})

it('the text of a fault is escaped and bounded', async () => {
  const t = trail({ intervalMs: 10 })
  await t.audit.ready()
  t.sink.script.push(async () => {
    throw new Error(`\u009b\u202e${'x'.repeat(5000)}`)
  })
  await t.settle(() => t.sink.events('audit.sink_changed').length > 0)
  const { last_error } = t.sink.events('audit.sink_changed')[0].log
  expect(last_error).toMatch(/^\\x9b\\u\{202e\}x+\[\+3978\]$/)
})

it.each([{ lines: 0 }, { lines: -1 }, { bytes: 0.5 }, { intervalMs: '1' }, { timeoutMs: Number.NaN }, 5, null])(
  'feed %j is refused',
  (feed) => {
    const sink = { ...collect('fed'), feed } as never
    const refused = expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining('feed') })
    expect(() => createAudit({ sinks: [sink] })).toThrow(refused)
    expect(() => createAudit().addSink(sink)).toThrow(refused)
  },
)

it('what a feed leaves out or undefined has its default', async () => {
  const t = trail({ lines: undefined, intervalMs: 10 } as never)
  await t.audit.ready()
  t.record(3)
  await t.settle(() => t.apps().length === 3)
})
