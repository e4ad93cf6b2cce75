// A full disk: the reserve is for what must be recorded all the same, and is made again when there is room.
import { statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, expect, it, vi } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { until } from '../support/until.ts'

let handles: FileHandle
beforeAll(async () => {
  const handle = await open(new URL(import.meta.url), 'r')
  handles = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
})
afterEach(() => vi.restoreAllMocks())

const reserve = (dir: string) => statSync(join(dir, 'a/reserve'), { throwIfNoEntry: false })

it('is really on the disk, and as large as was asked for', async () => {
  const dir = tempFolder()
  await (await openLog({ dir, instance: 'a' })).close()
  expect(reserve(dir)?.size).toBe(1024 ** 2)
  expect(reserve(dir)!.blocks * 512).toBeGreaterThanOrEqual(1024 ** 2)
  await (await openLog({ dir, instance: 'a', reserveBytes: 5000 })).close()
  expect(reserve(dir)?.size).toBe(5000)
  const none = tempFolder()
  await (await openLog({ dir: none, instance: 'a', reserveBytes: 0 })).close()
  expect(reserve(none)).toBeUndefined()
})

it.each(['ENOSPC', 'EDQUOT'])(
  '%s: goes for a line of control at once, not for traffic, and comes back',
  async (code) => {
    const dir = tempFolder()
    const clock = fakeClock()
    const log = await openLog({ dir, instance: 'a' }, { clock })
    clock.advance(1000)
    let full = true
    const original = handles.write
    vi.spyOn(handles, 'write').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
      // As a disk that has exactly the room of the reserve.
      if (full && reserve(dir) !== undefined) return Promise.reject(Object.assign(new Error(`${code}: full`), { code }))
      return Reflect.apply(original, this, args) as never
    } as never)
    log.write('traffic', 5)
    await until(() => {
      clock.advance(10)
      return log.sink.fault('traffic') !== undefined
    })
    expect(reserve(dir)).toBeDefined()
    await log.sink.durable('control', log.write('control', 5))
    expect(reserve(dir)).toBeUndefined()
    expect(log.told).toEqual([
      'the log cannot be written, and its lines wait',
      'the disk is full: the log lives on its reserve',
    ])
    full = false
    await until(() => {
      clock.advance(5000)
      return log.told.includes('the log has its reserve again') && log.sink.fault('traffic') === undefined
    })
    expect(reserve(dir)?.size).toBe(1024 ** 2)
    await log.close()
    expect((await verifyLog(dir)).instances[0]!.logs.map(({ signed }) => signed)).toEqual([5, 0, 5])
  },
)

it('that cannot be made keeps no log from being opened', async () => {
  const dir = tempFolder()
  const original = handles.writeFile
  vi.spyOn(handles, 'writeFile').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
    if ((args[0] as Buffer).length === 1024 ** 2) return Promise.reject(new Error('ENOSPC: no space left'))
    return Reflect.apply(original, this, args) as never
  } as never)
  const log = await openLog({ dir, instance: 'a' })
  expect(log.told).toEqual(['the reserve of the log cannot be made'])
  log.write('control', 1)
  await log.close()
  expect(reserve(dir)).toBeUndefined()
})
