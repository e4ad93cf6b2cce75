// Closed segments are compressed, every reader reads them, and a crash at any point leaves each line once.
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { queryLog } from '../../src/log/query.ts'
import { listSegments } from '../../src/log/segments.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { until } from '../support/until.ts'

const folder = (dir: string) => join(dir, 'a/traffic/segments')
const names = (dir: string) => readdirSync(folder(dir)).sort()
const packed = (dir: string) => names(dir).filter((name) => name.endsWith('.gz'))
const plain = (dir: string) => names(dir).filter((name) => name.endsWith('.jsonl'))
const segment = { maxBytes: 10_000, compress: 'gzip' } as const

/** A closed log of 500 lines, all but the last segment compressed. */
async function compressed(maxBytes?: number): Promise<string> {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a', segment, ...(maxBytes === undefined ? {} : { maxBytes }) })
  await log.sink.durable('traffic', log.write('traffic', 500))
  await until(() => plain(dir).length === 1 && !names(dir).some((name) => name.endsWith('.tmp')))
  await log.close()
  return dir
}

async function events(dir: string): Promise<number[]> {
  const found: number[] = []
  for await (const event of queryLog(dir)) found.push((event.audit as { index: number }).index)
  return found
}

const all = Array.from({ length: 500 }, (_, i) => i)

it('every segment but the one that is written to, with nothing changed in it', async () => {
  const dir = await compressed()
  expect(packed(dir).length).toBeGreaterThan(3)
  const text = packed(dir).map((name) => gunzipSync(readFileSync(join(folder(dir), name))).toString())
  expect(text[0]!.split('\n')[0]).toContain('"index":0')
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
  expect(await events(dir)).toEqual(all)
})

it('and is as old as it was, whatever the clock of its writer says', async () => {
  const dir = tempFolder()
  const begun = Date.now()
  const log = await openLog({ dir, instance: 'a', segment }, { clock: fakeClock(0) })
  await log.sink.durable('traffic', log.write('traffic', 500))
  await until(() => packed(dir).length > 0)
  const [one] = packed(dir)
  await log.close()
  // What a file is dated by may be a little behind.
  expect(statSync(join(folder(dir), one!)).mtimeMs).toBeGreaterThan(begun - 1000)
})

it('goes on at the next start, also with a plain last segment that is gone, and of logs that were plain', async () => {
  const dir = await compressed()
  const log = await openLog({ dir, instance: 'a' })
  expect([log.opened.heads.traffic.next, log.notices]).toEqual([500, []])
  log.write('traffic', 300)
  await log.close()
  expect((await verifyLog(dir)).instances[0]!.logs[0]).toMatchObject({ signed: 800, problemCount: 0 })
  const again = await openLog({ dir, instance: 'a', segment: { ...segment, maxBytes: 1e6 } })
  await until(() => plain(dir).length === 1)
  await again.close()
  expect((await verifyLog(dir)).ok).toBe(true)
})

it('a last segment that is compressed is not written to', async () => {
  const dir = await compressed()
  const log = await openLog({ dir, instance: 'a', segment: { ...segment, maxBytes: 1e6 } })
  log.write('traffic', 1)
  await log.close()
  const last = plain(dir)[0]!
  // As if the process had died between a rotation and its first line.
  const next = `${String(501).padStart(16, '0')}.jsonl`
  const one = await openLog({ dir, instance: 'a', segment: { maxBytes: 100, compress: 'gzip' } })
  await one.sink.durable('traffic', one.write('traffic', 1))
  await until(() => packed(dir).includes(`${last}.gz`))
  await one.close()
  expect(plain(dir)).toEqual([next])
  rmSync(join(folder(dir), next))
  const again = await openLog({ dir, instance: 'a' })
  expect(again.notices[0]?.facts.reason).toContain('missing')
  await again.close()
})

describe('a crash', () => {
  it('while it is written, or before the plain one is deleted, leaves the plain one in force', async () => {
    const dir = await compressed()
    const [name] = packed(dir)
    const path = join(folder(dir), name!)
    const bytes = gunzipSync(readFileSync(path))
    writeFileSync(path.slice(0, -3), bytes)
    const half = tempFolder()
    cpSync(dir, half, { recursive: true })
    truncateSync(join(folder(half), name!), 100)
    copyFileSync(path, `${join(folder(half), name!)}.tmp`)
    for (const one of [dir, half]) {
      expect((await listSegments(join(one, 'a/traffic')))[0]).toMatchObject({ compressed: false, bytes: bytes.length })
      expect(await verifyLog(one)).toMatchObject({ ok: true })
      expect(await events(one)).toEqual(all)
      const log = await openLog({ dir: one, instance: 'a', segment })
      await until(() => plain(one).length === 1)
      await log.close()
      expect(await verifyLog(one)).toMatchObject({ ok: true })
      expect(gunzipSync(readFileSync(join(folder(one), name!)))).toEqual(bytes)
    }
  })
})

it('one that cannot be unpacked is named, and sets the log aside only where it is needed', async () => {
  const dir = await compressed()
  const [first] = packed(dir)
  const bytes = readFileSync(join(folder(dir), first!))
  bytes[bytes.length >> 1]! ^= 0xff
  writeFileSync(join(folder(dir), first!), bytes)
  const report = await verifyLog(dir)
  expect(report.ok).toBe(false)
  expect(report.instances[0]!.logs[0]!.problems[0]?.file).toContain(first)
  const log = await openLog({ dir, instance: 'a' })
  expect(log.notices).toEqual([])
  await log.close()
  rmSync(join(dir, 'a/traffic/tile'), { recursive: true })
  const again = await openLog({ dir, instance: 'a' })
  expect(again.notices[0]?.facts.reason).toContain('cannot be unpacked')
  await again.close()
})

it('is pruned as plain ones are', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a', maxBytes: 20_000, segment: { maxBytes: 5_000, compress: 'gzip' } })
  const text = Array.from({ length: 60 }, (_, i) => String.fromCharCode(97 + ((i * 7) % 26))).join('')
  for (let round = 0; round < 15; round++) {
    await log.sink.durable('traffic', log.write('traffic', 50, { text: `${text}${round}` }))
  }
  await until(() => Number(names(dir)[0]!.slice(0, 16)) > 100)
  await log.close()
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
  expect(existsSync(join(dir, 'a/traffic/tile/0/000'))).toBe(true)
})

it('is pruned in both forms, where the plain one could not be deleted', async () => {
  const dir = await compressed()
  const twins = packed(dir)
  for (const name of twins) {
    const path = join(folder(dir), name)
    const [bytes, { mtime }] = [gunzipSync(readFileSync(path)), statSync(path)]
    writeFileSync(path.slice(0, -3), bytes)
    utimesSync(path.slice(0, -3), mtime, mtime)
  }
  const log = await openLog({ dir, instance: 'a', maxBytes: 20_000, segment: { maxBytes: 5_000, compress: 'none' } })
  await until(() => Number(names(dir)[0]!.slice(0, 16)) > 100)
  await log.close()
  const left = new Set(plain(dir))
  expect(packed(dir).filter((name) => !left.has(name.slice(0, -3)))).toEqual([])
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

it('one whose plain form cannot be deleted keeps no other from its turn, and is not compressed anew', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a', segment })
  const first = join(folder(dir), names(dir)[0]!)
  const original = promises.unlink
  const stuck = vi.spyOn(promises, 'unlink').mockImplementation(async (path) => {
    if (path === first) throw Object.assign(new Error(`EIO: i/o error, unlink '${first}'`), { code: 'EIO' })
    await original(path)
  })
  syncBuiltinESMExports()
  onTestFinished(() => {
    stuck.mockRestore()
    syncBuiltinESMExports()
  })
  const tries = () => stuck.mock.calls.filter(([path]) => path === first).length
  await log.sink.durable('traffic', log.write('traffic', 300))
  await until(() => packed(dir).length > 2 && plain(dir).length === 2 && tries() > 0)
  const { ino } = statSync(`${first}.gz`)
  const before = tries()
  // The next segments ask for another look.
  await log.sink.durable('traffic', log.write('traffic', 100))
  await until(() => tries() > before)
  expect(existsSync(first)).toBe(true)
  expect(statSync(`${first}.gz`).ino).toBe(ino)
  expect(log.told).toEqual(['a closed segment cannot be compressed'])
  stuck.mockRestore()
  syncBuiltinESMExports()
  await log.sink.durable('traffic', log.write('traffic', 100))
  await until(() => plain(dir).length === 1)
  await log.close()
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
  expect(await events(dir)).toEqual(all)
})
