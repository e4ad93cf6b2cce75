// An outage of the disk that loses nothing leaves its beginning and its end in the log.
import { readFileSync, readlinkSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, expect, it, vi } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { LogHealth } from '../../src/log/log-health.ts'
import { verifyLog } from '../../src/log/verify.ts'
import type { StoreNotice } from '../../src/sink.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { schemaFaults } from '../support/schemas.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

let handles: FileHandle
beforeAll(async () => {
  const handle = await open(new URL(import.meta.url), 'r')
  handles = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
})
afterEach(() => void vi.restoreAllMocks())

/** Lets calls fail that are made on files of these logs; returns how many have. */
function failing(
  call: 'write' | 'datasync',
  code: string,
  logs: readonly string[] = ['traffic', 'security', 'control'],
) {
  const original = handles[call] as (...args: unknown[]) => unknown
  const state = { failed: 0, over: false }
  vi.spyOn(handles, call).mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`)
    if (state.over || !logs.some((log) => path.includes(`/${log}/segments/`)))
      return Reflect.apply(original, this, args) as never
    state.failed++
    return Promise.reject(Object.assign(new Error(`${code}: the disk`), { code })) as never
  } as never)
  return state
}

async function opened() {
  const dir = tempFolder()
  const logger = keepLogger()
  const audit = createAudit({ sinks: [fileSink({ dir, instance: 'a', reserveBytes: 0 })], service: 'shop', logger })
  await audit.ready()
  const changes = () =>
    readFileSync(join(dir, 'a/control/segments/0000000000000000.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"event_name":"audit.sink_changed"'))
      .map((line) => JSON.parse(line))
  return { dir, logger, audit, changes }
}

it.each([
  ['write', 'ENOSPC'],
  ['datasync', 'EIO'],
] as const)('%s: %s of all logs for a while: one event each way, and no gap', async (call, code) => {
  const t = await opened()
  const disk = failing(call, code)
  const heard: string[] = []
  t.audit.on('audit.sink_changed', ({ log }) => heard.push(log.to))
  const before = new Date().toISOString()
  t.audit.record('app.x', { n: 1 })
  t.audit.record('access.denied', { rule: 'r' })
  await until(() => disk.failed > 4)
  t.audit.record('app.x', { n: 2 })
  disk.over = true
  await until(() => heard.includes('ok'))
  const wentWell = new Date().toISOString()
  expect((await t.audit.close()).undelivered).toEqual({})
  const changes = t.changes()
  expect(changes.map(({ log }) => log)).toEqual([
    {
      sink: 'file',
      from: 'ok',
      to: 'failing',
      failures: 1,
      waiting: expect.any(Number),
      last_error: `${code}: the disk`,
    },
    {
      sink: 'file',
      from: 'failing',
      to: 'ok',
      failures: disk.failed,
      waiting: expect.any(Number),
      last_error: `${code}: the disk`,
      since: expect.any(String),
    },
  ])
  const [began, ended] = changes
  for (const event of changes) expect(schemaFaults('audit.sink_changed', event)).toBeUndefined()
  const times = [before, ended.log.since, began.time, ended.time, wentWell]
  expect(times).toEqual([...times].sort())
  expect(await verifyLog(t.dir)).toMatchObject({ ok: true })
  expect(readFileSync(join(t.dir, 'a/traffic/segments/0000000000000000.jsonl'), 'utf8')).not.toContain('audit.gap')
  expect(heard).toEqual(['failing', 'ok'])
  const again = t.logger.told.filter(({ message }) => message === 'the log can be written again')
  for (const { fields } of again) expect(fields).toEqual({ log: expect.any(String), failures: expect.any(Number) })
})

it('of one log is told by another while it lasts', async () => {
  const t = await opened()
  const disk = failing('write', 'EIO', ['traffic'])
  t.audit.record('app.x', {})
  const toldSoFar = () => t.changes().map(({ log }) => log.to)
  await until(() => toldSoFar().length > 0)
  expect(toldSoFar()).toEqual(['failing'])
  await until(() => disk.failed > 2)
  expect(toldSoFar()).toEqual(['failing'])
  disk.over = true
  await until(() => toldSoFar().length > 1)
  await t.audit.close()
  expect(toldSoFar()).toEqual(['failing', 'ok'])
})

it('no checkpoint for several causes at once: one event when the first begins, and one when the last is over', () => {
  const notices: StoreNotice[] = []
  const logger = keepLogger()
  const health = new LogHealth({
    name: 'shop/a',
    writers: [],
    clock: fakeClock(),
    logger,
    notify: (one) => notices.push(one),
  })
  const states = () => notices.map(({ facts }) => [facts.from, facts.to])
  health.published('traffic', undefined)
  health.signed('the key is away')
  health.published('traffic', 'EIO')
  health.published('traffic', 'EIO')
  health.published('control', 'EIO')
  health.signed(undefined)
  health.published('traffic', undefined)
  expect(states()).toEqual([['ok', 'unsigned']])
  health.published('control', undefined)
  health.published('control', undefined)
  expect(states()).toEqual([
    ['ok', 'unsigned'],
    ['unsigned', 'ok'],
  ])
  expect(logger.told).toHaveLength(6)
})

it('the worst state is what counts: no line that says all is well while no checkpoint can be made', () => {
  const notices: StoreNotice[] = []
  const health = new LogHealth({
    name: 'shop/a',
    writers: [],
    clock: fakeClock(),
    logger: keepLogger(),
    notify: (one) => notices.push(one),
  })
  health.published('traffic', 'EIO: rename')
  health.wrote('traffic', 'EIO: write')
  health.published('control', 'EIO: rename')
  health.wrote('traffic', undefined)
  health.published('control', undefined)
  health.published('traffic', undefined)
  expect(notices.map(({ facts: { from, to, last_error } }) => [from, to, last_error])).toEqual([
    ['ok', 'unsigned', 'EIO: rename'],
    ['unsigned', 'failing', 'EIO: write'],
    ['failing', 'unsigned', 'EIO: rename'],
    ['unsigned', 'ok', undefined],
  ])
})
