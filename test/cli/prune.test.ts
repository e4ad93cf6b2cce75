// `auditlb prune` applies what each writer has kept of its policy, and records it in the writer's own logs.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { pruneLog } from '../../src/audit/prune.ts'
import { liftHold, placeHold } from '../../src/log/holds.ts'
import { queryLog } from '../../src/log/query.ts'
import { verifyLog } from '../../src/log/verify.ts'
import type { Sink } from '../../src/sink.ts'
import { type FileSinkOptions, fileSink } from '../../src/sinks/file.ts'
import { auditlb } from '../support/cli.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { collect, keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

const prune = (dir: string) => auditlb('prune', dir)

const dayMs = 86_400_000
const folder = (dir: string, instance = 'a') => join(dir, instance, 'traffic/segments')
const firstOf = (dir: string) => Number(readdirSync(folder(dir)).sort()[0]!.slice(0, 16))

/** A closed log of 400 lines, all but the last segment of them as old as that. */
async function old(days: number, options: Partial<FileSinkOptions> = {}, dir = tempFolder()): Promise<string> {
  const instance = options.instance ?? 'a'
  const log = await openLog({ dir, instance, segment: { maxBytes: 10_000 }, ...options })
  log.write('traffic', 400)
  await log.close()
  const then = Date.now() / 1000 - (days * dayMs) / 1000
  for (const name of readdirSync(folder(dir, instance)).sort().slice(0, -1))
    utimesSync(join(folder(dir, instance), name), then, then)
  return dir
}

it('deletes what is older than the writer keeps it, and says what', async () => {
  const dir = await old(91)
  const { code, out, err } = await prune(dir)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^a\/traffic: lines 0 to \d+ deleted, \d+ bytes\n$/)
  const first = firstOf(dir)
  expect(first).toBeGreaterThan(300)
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
  const told = []
  for await (const event of queryLog(dir, { type: 'audit.pruned' })) told.push(event)
  expect(told).toMatchObject([
    { service: { name: 'shop', instance: { id: 'a' } }, log: { first: 0, last: first - 1, reason: 'age' } },
  ])
  expect(await prune(dir)).toMatchObject({ code: 0, out: 'a: nothing to delete\n' })
  const again = await openLog({ dir, instance: 'a' })
  expect(again.notices).toEqual([])
  await again.close()
})

it('leaves a sink that had not got what is gone an exact gap, which the next start tells', async () => {
  const dir = tempFolder()
  const begin = (far: Sink) =>
    createAudit({
      sinks: [fileSink({ dir, instance: 'a', segment: { maxBytes: 65_536 } }), far],
      logger: keepLogger(),
      service: 'shop',
    })
  const hanging = begin({ name: 'far', feed: { intervalMs: 5 }, write: () => new Promise(() => undefined) })
  await hanging.ready()
  for (let i = 0; i < 200; i++) hanging.record('app.x', { pad: 'x'.repeat(1000) })
  await until(() => readdirSync(folder(dir)).length > 2)
  // Time for the log, which is closed beside it, to be written: one that is not keeps its lock.
  await hanging.close({ deadlineMs: 5000 })
  const segments = readdirSync(folder(dir)).sort()
  for (const name of segments.slice(0, -1)) utimesSync(join(folder(dir), name), 0, 0)
  expect((await prune(dir)).code).toBe(0)
  const first = firstOf(dir)
  expect(first).toBeGreaterThan(0)
  const far = collect('far', { intervalMs: 5 })
  const again = begin(far)
  const ofTraffic = () => far.events().filter(({ audit }) => audit.origin.split('/')[2] === 'traffic')
  await until(() => ofTraffic().some(({ event_name }) => event_name === 'audit.gap'))
  await again.close()
  const gaps = ofTraffic().filter(({ event_name }) => event_name === 'audit.gap')
  expect(gaps).toMatchObject([{ log: { sink: 'far', first: 0, last: first - 1, count: first, reason: 'retention' } }])
  const indexes = ofTraffic().map(({ audit }) => audit.index)
  expect(indexes).toEqual(indexes.map((_, i) => first + i))
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

it('does all in one run, also what is in the segment that was written last', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  log.write('traffic', 40)
  await log.close()
  utimesSync(join(folder(dir), '0000000000000000.jsonl'), 0, 0)
  expect(await pruneLog(dir)).toMatchObject([{ pruned: [{ log: 'traffic', first: 0, last: 39 }] }])
  expect(readdirSync(folder(dir))).toEqual(['0000000000000040.jsonl'])
  expect(await pruneLog(dir)).toMatchObject([{ pruned: [] }])
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

describe('its record tells how many lines some sink has not got', () => {
  /** A log of 40 old lines in which a sink has these places. */
  async function told(place: (origin: string) => unknown): Promise<unknown> {
    const dir = tempFolder()
    const log = await openLog({ dir, instance: 'a' })
    log.write('traffic', 40)
    await log.close()
    utimesSync(join(folder(dir), '0000000000000000.jsonl'), 0, 0)
    mkdirSync(join(dir, 'a/cursors'))
    const write = (name: string, text: string) => writeFileSync(join(dir, 'a/cursors', name), text)
    const { origin } = log.opened.heads.traffic
    write('ahead.json', JSON.stringify({ logs: { traffic: { next: 40, origin } } }))
    write('far.json', JSON.stringify(place(origin)))
    write('far.json.tmp', '')
    expect((await pruneLog(dir))[0]).toMatchObject({ pruned: [{ first: 0, last: 39 }] })
    for await (const event of queryLog(dir, { type: 'audit.pruned' })) return event.log
  }

  it.each([
    ['that it has', 0, (origin: string) => ({ logs: { traffic: { next: 40, origin } } })],
    ['from its cursor on', 30, (origin: string) => ({ logs: { traffic: { next: 10, origin } } })],
    ['all, of a cursor of another log', 40, () => ({ logs: { traffic: { next: 99, origin: 'shop/a/traffic/0' } } })],
    ['all, of a cursor that cannot be read', 40, () => 'none'],
    ['none, of a log that it has never seen', 0, () => ({ logs: {} })],
  ])('%s', async (_name, undelivered, place) => {
    expect(await told(place)).toMatchObject({ undelivered })
  })
})

it('goes by the policy that the writer had', async () => {
  const dir = await old(5, { retention: { traffic: { maxAgeMs: 3 * dayMs } } })
  expect(await pruneLog(dir)).toMatchObject([{ instance: 'a', pruned: [{ log: 'traffic', first: 0 }] }])
  const kept = await old(5)
  expect(await pruneLog(kept)).toEqual([{ instance: 'a', pruned: [] }])
})

it('says who has it done and what for, where that is given', async () => {
  const told = async (dir: string) => {
    for await (const { log } of queryLog(dir, { type: 'audit.pruned' })) return log
  }
  const said = await old(91)
  expect((await auditlb('prune', said, '--by', 'CORP\\ali\u0007ce', '--reason', 'disk')).code).toBe(0)
  expect(await told(said)).toMatchObject({ first: 0, reason: 'age', by: 'CORP\\ali\\x07ce', message: 'disk' })
  const unsaid = await old(91)
  await pruneLog(unsaid)
  const { by, message } = (await told(unsaid)) as Record<string, unknown>
  expect([by, message]).toEqual([undefined, undefined])
  const wrong = await old(91)
  expect((await auditlb('prune', wrong, '--by', 'x'.repeat(257))).code).toBe(2)
  await expect(pruneLog(wrong, { reason: '' })).rejects.toMatchObject({ problems: [{ path: 'reason' }] })
  expect(firstOf(wrong)).toBe(0)
})

it('works on one instance, and on many of which one is being written', async () => {
  const dir = await old(91)
  expect((await prune(join(dir, 'a'))).out).toContain('a/traffic: lines 0 to')
  await old(91, { instance: 'b' }, dir)
  const log = await openLog({ dir, instance: 'c' })
  const { code, out } = await prune(dir)
  expect(code).toBe(0)
  expect(out).toMatch(/^a: nothing to delete\nb\/traffic: lines .*\nc: prunes by itself: .*process \d+.*\n$/)
  await log.close()
})

it('keeps what is held', async () => {
  const dir = await old(91)
  await placeHold(dir, { name: 'x', by: 'legal', reason: 'r' })
  expect(await prune(dir)).toMatchObject({ code: 0, out: 'a: nothing to delete\n' })
  expect(firstOf(dir)).toBe(0)
})

it('tells in the log of each writer which holds were lifted since it ran, and deletes what they held', async () => {
  const dir = await old(91)
  await placeHold(dir, { name: 'x', by: 'legal', reason: 'r' })
  await prune(dir)
  await liftHold(dir, 'x', { by: 'counsel', reason: 'settled' })
  expect(await prune(dir)).toMatchObject({ code: 0, out: expect.stringContaining('deleted'), err: '' })
  const told = []
  for await (const { log } of queryLog(dir, { type: 'audit.hold_changed' })) told.push(log)
  expect(told).toMatchObject([
    { hold: 'x', change: 'in-force', by: 'legal' },
    { hold: 'x', change: 'lifted', by: 'legal', lifted_by: 'counsel', lifted_reason: 'settled' },
  ])
  expect(readdirSync(dir).sort()).toEqual(['a', 'holds'])
  expect(await verifyLog(dir)).toMatchObject({ ok: true, instances: [{ instance: 'a' }] })
})

it('ends with 1 and changes nothing where the record could not be signed, or the log is not whole', async () => {
  const file = join(tempFolder(), 'key.pem')
  writeFileSync(file, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const elsewhere = await old(91, { key: { file } })
  expect(await prune(elsewhere)).toEqual({
    code: 1,
    out: expect.stringContaining('a: cannot be pruned: the key that signs for a does not lie'),
    err: '',
  })
  expect(readdirSync(join(elsewhere, 'a'))).not.toContain('key')
  const cut = await old(91)
  const last = readdirSync(folder(cut)).sort().at(-1)!
  truncateSync(join(folder(cut), last), 0)
  const before = readdirSync(join(cut, 'a'))
  expect(await prune(cut)).toMatchObject({ code: 1, out: expect.stringContaining('missing') })
  expect(readdirSync(join(cut, 'a'))).toEqual(before)
  const odd = await old(91)
  writeFileSync(join(odd, 'a/retention.json'), '{"maxBytes":"all"}')
  expect(await prune(odd)).toMatchObject({ code: 1, out: expect.stringContaining('is no retention policy') })
  expect(firstOf(odd)).toBe(0)
  expect(readFileSync(join(odd, 'a/retention.json'), 'utf8')).toBe('{"maxBytes":"all"}')
})

it('ends with 2 where there is no log', async () => {
  expect(await prune('/no/such/folder')).toMatchObject({ code: 2, out: '' })
})
