// What waits is on disk when flushSync returns, once, whatever was under way.
import { readdirSync, readFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { bundle, start } from '../support/program.ts'

let handles: FileHandle
let program: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  const handle = await open(new URL(import.meta.url), 'r')
  handles = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  program = await bundle('test/support/flush-program.ts')
}, 60_000)
afterAll(() => program.remove())
afterEach(() => vi.restoreAllMocks())

const indices = (dir: string) =>
  readdirSync(join(dir, 'a/traffic/segments'))
    .sort()
    .flatMap((name) =>
      readFileSync(join(dir, 'a/traffic/segments', name), 'utf8')
        .split('\n')
        .slice(0, -1),
    )
    .map((line) => JSON.parse(line).audit.index)
const range = (to: number) => Array.from({ length: to }, (_, i) => i)

it('writes what waits, and a process that goes on after all writes nothing twice', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 3000 } })
  let lines = 0
  for (let round = 0; round < 20; round++) {
    lines = log.write('traffic', 20 + round) + 1
    // Now before, now within a write, a rotation or an fsync.
    for (let turn = 0; turn < round; turn++) await new Promise(setImmediate)
    expect(log.sink.flushSync!()).toBe(0)
    expect(log.sink.flushSync!()).toBe(0)
    expect(indices(dir)).toEqual(range(lines))
    if (round % 3 === 0) await log.sink.durable('traffic', lines - 1)
  }
  await log.close()
  expect(indices(dir)).toEqual(range(lines))
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
  expect(log.sink.flushSync!()).toBe(0)
})

it('rewrites a write that hangs in the system, at the same place', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  const original = handles.write
  let release = (): void => undefined
  const hangs = new Promise<void>((resolve) => {
    release = resolve
  })
  vi.spyOn(handles, 'write').mockImplementation(async function (this: FileHandle, ...args: unknown[]) {
    await hangs
    return Reflect.apply(original, this, args)
  } as never)
  const durable = log.sink.durable('traffic', log.write('traffic', 10))
  await new Promise(setImmediate)
  log.write('traffic', 10)
  log.sink.flushSync!()
  expect(indices(dir)).toEqual(range(20))
  release()
  await durable
  await log.close()
  expect(indices(dir)).toEqual(range(20))
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

it('saves the lines of a process that ends without close, at whatever moment', async () => {
  const dir = tempFolder()
  let expected = 0
  for (let turns = 0; turns < 12; turns++) {
    const { ended } = start(program.path, dir, String(turns))
    const { code, stdout } = await ended
    expect(code).toBe(7)
    expected = Number(stdout)
    const found = indices(dir)
    expect(found).toEqual(range(expected))
  }
  const log = await openLog({ dir, instance: 'a' })
  expect(log.opened.heads.traffic.next).toBe(expected)
  await log.close()
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
}, 60_000)
