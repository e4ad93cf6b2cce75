// Each change of a hold is told in the logs of each writer, whether it runs or not, with who, why and when.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { eventSchema } from '../../src/events.ts'
import { HoldWatch } from '../../src/log/hold-watch.ts'
import { liftHold, placeHold } from '../../src/log/holds.ts'
import { KeptHolds } from '../../src/log/kept-holds.ts'
import { queryLog } from '../../src/log/query.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { logEvents } from '../../src/log-events.ts'
import type { StoreNotice } from '../../src/sink.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog, type TestLog } from '../support/log.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

const hold = { name: 'case-12', by: 'legal', reason: 'preservation letter' }
const settled = { by: 'counsel', reason: 'settled' }
type Facts = StoreNotice['facts']

/** What a log has told of holds. */
const told = (log: TestLog): Facts[] =>
  log.notices.filter(({ event }) => event === 'audit.hold_changed').map(({ facts }) => facts)
const brief = (facts: readonly Facts[]) => facts.map(({ hold, change, lifted_by }) => [hold, change, lifted_by])

/** One writer that looks when it is asked to, whose lines are on disk when the test says so. */
function watching(dir: string, instance = 'a') {
  mkdirSync(join(dir, instance), { recursive: true })
  const lines: Facts[] = []
  const faults: string[] = []
  const logger = {
    warn: (_: object, text: string) => faults.push(text),
    error: (_: object, text: string) => faults.push(text),
  }
  const control = {
    durableEnd: 0,
    takes: true,
    record(_: string, facts: Facts): number | undefined {
      return control.takes ? lines.push(facts) - 1 : undefined
    },
    // Never: here a crash may come before.
    durable: () => new Promise<void>(() => undefined),
  }
  const kept = new KeptHolds(join(dir, instance), 0o640, logger)
  const watch = new HoldWatch({ dir, kept, logger, control: () => control })
  return {
    control,
    faults,
    /** Looks, and returns what was told thereby. */
    async look(): Promise<Facts[]> {
      const before = lines.length
      await watch.held()
      return lines.slice(before)
    },
    held: () => watch.held(),
    /** Ends in order, with all lines on disk. */
    async close(): Promise<void> {
      control.durableEnd = lines.length
      await watch.close()
    },
  }
}

/** What a writer tells that begins now, and ends in order. */
async function toldAtStart(dir: string, instance?: string): Promise<Facts[]> {
  const next = watching(dir, instance)
  const facts = await next.look()
  await next.close()
  return facts
}

const stateOf = (dir: string) => JSON.parse(readFileSync(join(dir, 'a/holds.json'), 'utf8'))

it('a writer that runs notices within a minute, and tells who, why and when', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  await placeHold(dir, { ...hold, name: 'old' }, clock)
  const log = await openLog({ dir, instance: 'a' }, { clock })
  const minute = () => {
    for (let second = 0; second < 60; second++) clock.advance(1000)
  }
  clock.advance(1000)
  await until(() => told(log).length === 1)
  await placeHold(dir, { ...hold, reason: 'a\u001b[31m' }, clock)
  minute()
  await until(() => told(log).length === 2)
  await liftHold(dir, 'case-12', { by: 'counsel', reason: 'b\u001b[31m' }, clock)
  minute()
  await until(() => told(log).length === 3)
  expect(brief(told(log))).toEqual([
    ['old', 'in-force', undefined],
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'counsel'],
  ])
  expect(told(log)[1]).toMatchObject({ by: 'legal', reason: 'a\\u{1b}[31m', placed: '2026-01-01T00:00:01.000Z' })
  expect(told(log)[2]).toMatchObject({
    ...{ by: 'legal', reason: 'a\\u{1b}[31m', placed: '2026-01-01T00:00:01.000Z' },
    ...{ lifted: '2026-01-01T00:01:01.000Z', lifted_by: 'counsel', lifted_reason: 'b\\u{1b}[31m' },
  })
  for (const facts of told(log))
    expect(logEvents['audit.hold_changed'].fields.log.safeParse(facts).error).toBeUndefined()
  await log.close()
  expect(stateOf(dir)).toMatchObject({ known: [{ name: 'old' }], lifted: [expect.stringContaining('case-12')] })
  expect((await verifyLog(dir)).ok).toBe(true)
})

it('what is placed and lifted while no writer runs is told at the next start, once', async () => {
  const dir = tempFolder()
  await placeHold(dir, { ...hold, name: 'known' })
  await placeHold(dir, { ...hold, name: 'stays' })
  expect(brief(await toldAtStart(dir))).toEqual([
    ['known', 'in-force', undefined],
    ['stays', 'in-force', undefined],
  ])
  await liftHold(dir, 'known', settled)
  await placeHold(dir, { ...hold, name: 'fleeting' })
  await liftHold(dir, 'fleeting', settled)
  await placeHold(dir, { ...hold, name: 'new' })
  expect(brief(await toldAtStart(dir))).toEqual([
    ['known', 'lifted', 'counsel'],
    ['fleeting', 'placed', undefined],
    ['fleeting', 'lifted', 'counsel'],
    ['new', 'placed', undefined],
    ['stays', 'in-force', undefined],
  ])
  expect(brief(await toldAtStart(dir))).toEqual([
    ['new', 'in-force', undefined],
    ['stays', 'in-force', undefined],
  ])
})

it('a writer that had nothing to tell knows what came since', async () => {
  const dir = tempFolder()
  expect(await toldAtStart(dir)).toEqual([])
  await placeHold(dir, hold)
  await liftHold(dir, 'case-12')
  const facts = await toldAtStart(dir)
  expect(brief(facts)).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', undefined],
  ])
  expect(facts[1]).toMatchObject({ lifted: expect.stringMatching(/Z$/) })
})

it('what comes and goes between two looks is told, however often', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  const writer = watching(dir)
  await writer.look()
  for (const by of ['a', 'b']) {
    await placeHold(dir, hold, clock)
    clock.advance(1000)
    await liftHold(dir, 'case-12', { by }, clock)
    clock.advance(1000)
  }
  await placeHold(dir, hold, clock)
  const facts = await writer.look()
  expect(brief(facts)).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'a'],
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'b'],
    ['case-12', 'placed', undefined],
  ])
  expect(new Set(facts.map(({ placed }) => placed)).size).toBe(3)
  expect(await writer.look()).toEqual([])
})

it('each writer tells for itself, and a new one does not tell what was lifted before it came', async () => {
  const dir = tempFolder()
  await toldAtStart(dir, 'a')
  await placeHold(dir, hold)
  await liftHold(dir, 'case-12', settled)
  await placeHold(dir, hold)
  expect(brief(await toldAtStart(dir, 'a'))).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'counsel'],
    ['case-12', 'placed', undefined],
  ])
  expect(brief(await toldAtStart(dir, 'b'))).toEqual([['case-12', 'in-force', undefined]])
  await liftHold(dir, 'case-12', settled)
  for (const instance of ['a', 'b'])
    expect(brief(await toldAtStart(dir, instance))).toEqual([['case-12', 'lifted', 'counsel']])
})

it('files that are put there, changed or removed by hand are told without who lifted them', async () => {
  const dir = tempFolder()
  const placed = await placeHold(dir, hold)
  const path = join(dir, 'holds/case-12.json')
  const writer = watching(dir)
  await writer.look()
  writeFileSync(path, JSON.stringify({ ...placed, logs: ['control'] }))
  expect(brief(await writer.look())).toEqual([
    ['case-12', 'lifted', undefined],
    ['case-12', 'placed', undefined],
  ])
  expect(await writer.held()).toEqual(new Set(['control']))
  unlinkSync(path)
  const [gone] = await writer.look()
  expect(gone).toMatchObject({ change: 'lifted', by: 'legal' })
  expect(Object.keys(gone!).filter((name) => name.startsWith('lifted'))).toEqual([])
  expect(await writer.held()).toEqual(new Set())
})

it('a hold whose file is put back from those that were lifted is in force again, and is told', async () => {
  const dir = tempFolder()
  const writer = watching(dir)
  await placeHold(dir, hold)
  await writer.look()
  await liftHold(dir, 'case-12', settled)
  const [file = ''] = readdirSync(join(dir, 'holds/lifted'))
  const restore = () => cpSync(join(dir, 'holds/lifted', file), join(dir, 'holds/case-12.json'))
  // Before the writer has looked: it is held at once, although what was lifted is told first.
  restore()
  expect((await writer.held()).size).toBe(3)
  expect(brief(await writer.look())).toEqual([['case-12', 'placed', undefined]])
  await liftHold(dir, 'case-12', settled)
  expect(brief(await writer.look())).toEqual([['case-12', 'lifted', 'counsel']])
})

it('a file that is no hold is told when it is lifted, with the time', async () => {
  const dir = tempFolder()
  mkdirSync(join(dir, 'holds'))
  writeFileSync(join(dir, 'holds/torn.json'), '{"name":')
  const writer = watching(dir)
  expect(brief(await writer.look())).toEqual([['torn', 'in-force', undefined]])
  await liftHold(dir, 'torn', settled, fakeClock())
  expect(await writer.look()).toMatchObject([
    { hold: 'torn', change: 'lifted', placed: '', lifted: '2026-01-01T00:00:00.000Z' },
  ])
  expect(await writer.look()).toEqual([])
})

it('what a crash took away before it was kept is told again, with the same times', async () => {
  const dir = tempFolder()
  await toldAtStart(dir)
  await placeHold(dir, { ...hold, name: 'kept' })
  await placeHold(dir, hold)
  await liftHold(dir, 'case-12', settled)
  const writer = watching(dir)
  const first = await writer.look()
  expect(brief(first)).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'counsel'],
    ['kept', 'placed', undefined],
  ])
  // The lines are not on disk: later calls keep nothing.
  writer.control.durableEnd = 2
  await writer.look()
  expect(stateOf(dir)).toEqual({ known: [], lifted: [] })
  expect(await toldAtStart(dir)).toEqual(first)
  expect(stateOf(dir)).toMatchObject({ known: [{ name: 'kept' }], lifted: [{}] })
})

it('what the log does not take is told later', async () => {
  const dir = tempFolder()
  const writer = watching(dir)
  await writer.look()
  writer.control.takes = false
  await placeHold(dir, hold)
  expect((await writer.held()).size).toBe(3)
  await liftHold(dir, 'case-12', settled)
  expect(await writer.look()).toEqual([])
  await writer.close()
  expect(stateOf(dir)).toEqual({ known: [], lifted: [] })
  writer.control.takes = true
  expect(brief(await writer.look())).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'counsel'],
  ])
})

it('a state that cannot be read is one of a new writer, and is said', async () => {
  const dir = tempFolder()
  await toldAtStart(dir)
  await placeHold(dir, hold)
  await placeHold(dir, { ...hold, name: 'b' })
  await liftHold(dir, 'b')
  writeFileSync(join(dir, 'a/holds.json'), '{"known":[{}],"lifted":[]}')
  const writer = watching(dir)
  expect(brief(await writer.look())).toEqual([['case-12', 'in-force', undefined]])
  expect(writer.faults).toEqual([expect.stringContaining('cannot be read')])
  await writer.close()
  await liftHold(dir, 'case-12', settled)
  expect(brief(await toldAtStart(dir))).toEqual([['case-12', 'lifted', 'counsel']])
})

it('a state that cannot be written is said once, and stops nothing', async () => {
  const dir = tempFolder()
  const writer = watching(dir)
  const path = join(dir, 'a/holds.json')
  mkdirSync(`${path}.tmp`, { recursive: true })
  await writer.look()
  await writer.close()
  // There is no hold of which anything could have been told.
  expect(writer.faults).toEqual([])
  await placeHold(dir, hold)
  expect(brief(await writer.look())).toEqual([['case-12', 'placed', undefined]])
  await writer.close()
  expect(writer.faults).toEqual([expect.stringContaining('cannot be written')])
  rmSync(`${path}.tmp`, { recursive: true })
  await writer.look()
  await writer.close()
  expect(stateOf(dir)).toMatchObject({ known: [{ name: 'case-12' }] })
})

it('lifted holds that cannot be read stop no deletion, and are told once they can be', async () => {
  const dir = tempFolder()
  const writer = watching(dir)
  await placeHold(dir, hold)
  await writer.look()
  await liftHold(dir, 'case-12', settled)
  const folder = join(dir, 'holds/lifted')
  renameSync(folder, join(dir, 'away'))
  writeFileSync(folder, '')
  expect(brief(await writer.look())).toEqual([['case-12', 'lifted', undefined]])
  expect(await writer.held()).toEqual(new Set())
  expect(writer.faults).toEqual([expect.stringContaining('cannot be read')])
  unlinkSync(folder)
  renameSync(join(dir, 'away'), folder)
  expect(brief(await writer.look())).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'counsel'],
  ])
})

it('forgets files that are removed by hand', async () => {
  const dir = tempFolder()
  await toldAtStart(dir)
  await placeHold(dir, hold)
  await liftHold(dir, 'case-12')
  await toldAtStart(dir)
  expect(stateOf(dir).lifted).toHaveLength(1)
  rmSync(join(dir, 'holds/lifted'), { recursive: true })
  expect(await toldAtStart(dir)).toEqual([])
  const writer = watching(dir)
  await writer.look()
  await writer.close()
  expect(stateOf(dir)).toEqual({ known: [], lifted: [] })
})

it('lines of a trail say so, in the words of the schema, over restarts', async () => {
  const dir = tempFolder()
  const start = (clock: FakeClock) =>
    createAudit({ sinks: [fileSink({ dir, instance: 'a' })], logger: keepLogger(), service: 'shop', clock })
  const run = async (clock: FakeClock, lines: number) => {
    const audit = start(clock)
    let seen = 0
    audit.on('audit.hold_changed', () => seen++)
    await audit.ready()
    clock.advance(1000)
    await until(() => seen === lines && readdirSync(join(dir, 'a')).includes('holds.json'))
    await audit.close()
  }
  await placeHold(dir, hold)
  await run(fakeClock(), 1)
  await liftHold(dir, 'case-12', { by: 'CORP\\counsel\u001b', reason: 'settled' })
  await run(fakeClock(Date.UTC(2026, 0, 2)), 1)
  const events = []
  for await (const event of queryLog(dir, { type: 'audit.hold_changed' })) events.push(event)
  expect(events.map(({ log }) => (log as Facts).change)).toEqual(['in-force', 'lifted'])
  expect(events[1]).toMatchObject({
    log: { by: 'legal', lifted_by: 'CORP\\counsel\\\\u{1b}', lifted_reason: 'settled' },
  })
  for (const event of events) expect(eventSchema('audit.hold_changed').safeParse(event).error).toBeUndefined()
  expect((await verifyLog(dir)).ok).toBe(true)
})

it('keeps what it has told as soon as that is on disk', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  const log = await openLog({ dir, instance: 'a' }, { clock })
  await placeHold(dir, hold, clock)
  clock.advance(1000)
  await until(() => told(log).length === 1)
  await until(() => existsSync(join(dir, 'a/holds.json')) && stateOf(dir).known.length === 1)
  await log.close()
})

it('tells a change by hand before the call that lifts', async () => {
  const dir = tempFolder()
  const placed = await placeHold(dir, hold)
  const one = watching(dir)
  await one.look()
  writeFileSync(join(dir, 'holds/case-12.json'), JSON.stringify({ ...placed, by: 'mallory', logs: ['control'] }))
  await liftHold(dir, 'case-12', settled)
  const facts = await one.look()
  expect(facts.map(({ by, change, lifted_by }) => [by, change, lifted_by])).toEqual([
    ['legal', 'lifted', undefined],
    ['mallory', 'placed', undefined],
    ['mallory', 'lifted', 'counsel'],
  ])
  expect(await one.look()).toEqual([])
  await one.close()
})

it('tells each once where a lift that died has left a second file of the name', async () => {
  const dir = tempFolder()
  await placeHold(dir, hold)
  const one = watching(dir)
  await one.look()
  renameSync(join(dir, 'holds/case-12.json'), join(dir, 'holds/case-12~00c0ffee.json'))
  await placeHold(dir, { ...hold, by: 'revision' }, { ...fakeClock(), now: () => Date.UTC(2027, 0, 1) })
  const facts = [...(await one.look()), ...(await one.look())]
  for (const by of ['first', 'second']) {
    await liftHold(dir, 'case-12', { by })
    facts.push(...(await one.look()), ...(await one.look()))
  }
  expect(facts.map(({ by, change, lifted_by }) => [by, change, lifted_by])).toEqual([
    ['revision', 'placed', undefined],
    ['revision', 'lifted', 'first'],
    ['legal', 'lifted', 'second'],
  ])
  await one.close()
})

it('holds what is placed while it looks', async () => {
  const dir = tempFolder()
  const placed = await placeHold(dir, { ...hold, logs: ['control'] })
  const one = watching(dir)
  const { record } = one.control
  one.control.record = (name, facts) => {
    writeFileSync(join(dir, 'holds/b.json'), JSON.stringify({ ...placed, name: 'b', logs: ['security'] }))
    return record(name, facts)
  }
  expect([...(await one.held())]).toEqual(['control', 'security'])
  await one.close()
})

it('does not tell old lifts where their folder could not be read at first', async () => {
  const dir = tempFolder()
  await placeHold(dir, hold)
  await liftHold(dir, 'case-12', settled)
  renameSync(join(dir, 'holds/lifted'), join(dir, 'aside'))
  writeFileSync(join(dir, 'holds/lifted'), 'no folder')
  const one = watching(dir)
  expect(await one.look()).toEqual([])
  expect(one.faults).toEqual(['legal holds that were lifted cannot be read; told once'])
  unlinkSync(join(dir, 'holds/lifted'))
  renameSync(join(dir, 'aside'), join(dir, 'holds/lifted'))
  expect(await one.look()).toEqual([])
  await placeHold(dir, hold)
  await liftHold(dir, 'case-12', settled)
  expect(brief(await one.look())).toEqual([
    ['case-12', 'placed', undefined],
    ['case-12', 'lifted', 'counsel'],
  ])
  await one.close()
})
