// What a sink waits for and the log cannot be read: tried again while that may help, and else an exact gap; the delivery goes on.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { fileSinkSchema, fileStore } from '../../src/sinks/file.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { collect, keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

// biome-ignore lint/suspicious/noExplicitAny: events of every kind.
type Event = any

let handles: FileHandle
beforeAll(async () => {
  const handle = await open(new URL(import.meta.url), 'r')
  handles = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
})
afterEach(() => void vi.restoreAllMocks())

/** As much as a reader of lines asks for at once, and nobody else. */
const chunkBytes = 262_144

/** Lets the next reads of lines of a file fail whose path holds `part`; returns how many have. */
function failing(code: string, part: string) {
  const original = handles.read as (...args: unknown[]) => unknown
  const state = { failed: 0, over: false }
  vi.spyOn(handles, 'read').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`)
    if (state.over || args[2] !== chunkBytes || !path.includes(part))
      return Reflect.apply(original, this, args) as never
    state.failed++
    return Promise.reject(Object.assign(new Error(`${code}: the disk`), { code })) as never
  } as never)
  return state
}

const lastOf = (list: readonly number[]): number => list.at(-1) ?? -1

/** A trail on a folder, with one sink that is away. */
function trailOn(dir: string, away: boolean, compress: 'gzip' | 'none' = 'none') {
  const clock = fakeClock()
  const logger = keepLogger()
  const sink = collect('kept', { intervalMs: 10, from: 'oldest' })
  const write = sink.write.bind(sink)
  const state = { away }
  sink.write = async (batch, signal) => {
    if (state.away) throw new Error('away')
    await write(batch, signal)
  }
  const store = fileStore({
    ...fileSinkSchema.parse({ dir, instance: 'a' }),
    segment: { maxBytes: 10_000, maxAgeMs: 1e9, compress },
  })
  const audit = createAudit({ sinks: [store, sink], clock, logger, random: { uint32: () => 0 }, service: 'shop' })
  const settle = (holds: () => boolean) =>
    until(() => {
      clock.advance(50)
      return holds()
    })
  const record = (n: number) => {
    for (let i = 0; i < n; i++) audit.record('access.denied', { rule: 'r', detail: 'x'.repeat(200) })
  }
  let security = 0
  audit.on('*', ({ audit: { origin } }) => {
    if (origin?.includes('/security/') === true) security++
  })
  const got = () =>
    sink
      .events()
      .filter(({ audit: { origin } }) => origin.includes('/security/'))
      .map(({ audit: { index } }): number => index)
  const gaps = (): Event[] => sink.events('audit.gap').map(({ log }) => log)
  /** How often the logger was told this. */
  const told = (message: string) => logger.told.filter((one) => one.message.includes(message)).length
  // The disk does not follow the clock.
  const closing = async (): Promise<Record<string, number>> => {
    let undelivered: Record<string, number> | undefined
    void audit.close({ deadlineMs: Number.POSITIVE_INFINITY }).then((closed) => {
      undelivered = { ...closed.undelivered }
    })
    await settle(() => undelivered !== undefined)
    return undelivered!
  }
  return { audit, emitted: () => security, clock, logger, sink, store, state, settle, record, got, gaps, told, closing }
}

const folder = (dir: string) => join(dir, 'a/security/segments')
const names = (dir: string) => readdirSync(folder(dir)).sort()

/** A log of several segments that a sink has not got yet. */
async function lagging(compress: 'gzip' | 'none' = 'none') {
  const dir = tempFolder()
  const t = trailOn(dir, true, compress)
  await t.audit.ready()
  t.record(100)
  const packed = () => names(dir).filter((name) => name.endsWith('.gz')).length
  await t.settle(() => names(dir).length >= 4 && (compress === 'none' || packed() === names(dir).length - 1))
  const [, spoilt, behind] = names(dir)
  const [first, end] = [Number.parseInt(spoilt!, 10), Number.parseInt(behind!, 10)]
  return { ...t, dir, path: join(folder(dir), spoilt!), first, end }
}

/** Each line once, or in a gap. */
function expectAll({ got, gaps }: Pick<Awaited<ReturnType<typeof lagging>>, 'got' | 'gaps'>): void {
  const lost = gaps().flatMap(({ first, count }) => Array.from({ length: count }, (_, i): number => first + i))
  const all = [...got(), ...lost].sort((a, b) => a - b)
  expect(all).toEqual(Array.from({ length: lastOf(all) + 1 }, (_, i) => i))
  expect(all.length).toBeGreaterThan(100)
}

/** In the place of a segment that is closed. */
const spoils: [string, 'gzip' | 'none', (path: string) => void][] = [
  [
    'a gzip file with another byte in it',
    'gzip',
    (path) => {
      const bytes = readFileSync(path)
      bytes[bytes.length >> 1]! ^= 0xff
      writeFileSync(path, bytes)
    },
  ],
  ['half a gzip file', 'gzip', (path) => truncateSync(path, readFileSync(path).length >> 1)],
  ['no gzip file', 'gzip', (path) => writeFileSync(path, 'something else')],
  [
    'a folder',
    'none',
    (path) => {
      rmSync(path)
      mkdirSync(path)
    },
  ],
  ['half of it', 'none', (path) => truncateSync(path, readFileSync(path).length >> 1)],
]

describe.each(spoils)('%s', (_, compress, spoil) => {
  it('is an exact gap, told once, and what is behind it comes', async () => {
    const t = await lagging(compress)
    spoil(t.path)
    t.state.away = false
    await t.settle(() => t.gaps().length > 0 && lastOf(t.got()) >= 99)
    expect(t.gaps()).toMatchObject([{ sink: 'kept', last: t.end - 1, reason: 'lost' }])
    expect(t.gaps()[0].first).toBeGreaterThanOrEqual(t.first)
    expect(await t.closing()).toEqual({})
    expectAll(t)
    expect(t.told('lines of the log are lost')).toBe(1)
    expect(t.told('the delivery to an audit sink failed')).toBe(0)
  })

  it('met by the close, it is counted, the log is free, and the next start tells it and goes on behind it', async () => {
    const t = await lagging(compress)
    spoil(t.path)
    t.state.away = false
    const { kept } = await t.closing()
    // Two logs have all, and of this one nothing was there to tell it in.
    expect(kept).toBe(t.emitted() - t.got().length)
    expect(lastOf(t.got())).toBeLessThan(t.end)
    expect(readdirSync(join(t.dir, 'a'))).not.toContain('lock')
    const next = trailOn(t.dir, false, compress)
    await next.audit.ready()
    await next.settle(() => next.gaps().length > 0 && lastOf(next.got()) >= 99)
    expect(await next.closing()).toEqual({})
    expectAll({ got: () => [...t.got(), ...next.got()], gaps: next.gaps })
  })
})

const aside = (path: string) => `${path}.aside`

it('a segment that cannot be reached is tried again, and nothing of it is lost once it can', async () => {
  const t = await lagging()
  renameSync(t.path, aside(t.path))
  symlinkSync(t.path, t.path)
  t.state.away = false
  await t.settle(() => t.told('the log cannot be read') === 1 || t.gaps().length > 0)
  rmSync(t.path)
  renameSync(aside(t.path), t.path)
  await t.settle(() => lastOf(t.got()) >= 99)
  expect(await t.closing()).toEqual({})
  expectAll(t)
  expect(t.gaps()).toEqual([])
  expect(t.told('the log cannot be read')).toBe(1)
})

it('one that cannot be reached for a minute is given up', async () => {
  const t = await lagging()
  renameSync(t.path, aside(t.path))
  symlinkSync(t.path, t.path)
  t.state.away = false
  await t.settle(() => lastOf(t.got()) === t.first - 1)
  const began = t.clock.monoUs()
  await t.settle(() => t.gaps().length > 0)
  expect(t.clock.monoUs() - began).toBeGreaterThanOrEqual(59_000_000)
  await t.settle(() => lastOf(t.got()) >= 99)
  expect(t.gaps()).toMatchObject([{ first: t.first, last: t.end - 1, reason: 'lost' }])
  expect(await t.closing()).toEqual({})
  expectAll(t)
})

it.each([
  ['EIO', 3],
  ['EMFILE', 200],
])('%s, %i times: nothing is lost', async (code, times) => {
  const t = await lagging()
  const disk = failing(code, t.path)
  t.state.away = false
  await t.settle(() => disk.failed >= times || t.gaps().length > 0)
  disk.over = true
  await t.settle(() => lastOf(t.got()) >= 99)
  expect(t.gaps()).toEqual([])
  expect(t.told('the log cannot be read')).toBe(1)
  expect(await t.closing()).toEqual({})
  expectAll(t)
})

it('the segment that is written to is closed before it is given up: what tells of the loss stands in the next', async () => {
  const t = await lagging()
  const current = names(t.dir).at(-1)!
  const disk = failing('EIO', current)
  t.state.away = false
  await t.settle(() => t.gaps().length > 0)
  disk.over = true
  expect(t.gaps()).toMatchObject([{ first: Number.parseInt(current, 10), reason: 'lost' }])
  await t.settle(() => lastOf(t.got()) > t.gaps()[0].last)
  expect(await t.closing()).toEqual({})
  expectAll(t)
})

it('while it cannot be read, a close ends in time, and counts what it could not read', async () => {
  const t = await lagging()
  failing('EIO', t.path)
  t.state.away = false
  await t.settle(() => t.told('the log cannot be read') === 1)
  t.audit.record('app.x', {})
  expect(await t.closing()).toEqual({ kept: t.emitted() - t.first })
  expect(t.got()).toHaveLength(t.first)
  expect([t.sink.events('app.x').length, t.sink.events('audit.closed').length]).toEqual([1, 1])
  expect(readdirSync(join(t.dir, 'a'))).not.toContain('lock')
})

it('a sink that is added while lines cannot be read gets those after', async () => {
  const t = await lagging()
  t.state.away = false
  await t.settle(() => lastOf(t.got()) >= 99)
  rmSync(t.path)
  mkdirSync(t.path)
  const late = collect('late', { intervalMs: 10, from: 'oldest' })
  t.audit.addSink(late)
  await t.settle(() => late.events('audit.gap').length > 0)
  expect(await t.closing()).toEqual({})
  expect(late.events('audit.gap').map(({ log }) => log)).toMatchObject([
    { sink: 'late', first: t.first, last: t.end - 1, reason: 'lost' },
  ])
  expect(late.events('access.denied')).toHaveLength(100 - (t.end - t.first))
})
