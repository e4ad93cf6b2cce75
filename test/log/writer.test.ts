// Lines reach the disk in order, survive write errors, and are signed in time.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { SegmentFile } from '../../src/log/segment-file.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { maxLineBytes } from '../../src/sink.ts'
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

const segments = (dir: string, log = 'traffic') => readdirSync(join(dir, 'a', log, 'segments')).sort()
const bytesOf = (dir: string) => statSync(join(dir, 'a/traffic/segments', segments(dir).at(-1)!)).size
const signed = (dir: string, log = 'traffic') =>
  Number(readFileSync(join(dir, 'a', log, 'checkpoint'), 'utf8').split('\n')[1])
const noSpace = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

async function open1(options: Partial<Parameters<typeof openLog>[0]> = {}) {
  const dir = tempFolder()
  const clock = fakeClock()
  const log = await openLog({ dir, instance: 'a', ...options }, { clock })
  // The first look of retention, which tells that there is nothing to do.
  clock.advance(1000)
  /** Timers besides those that always run. */
  const timers = () => clock.timers - always
  const always = clock.timers
  return { dir, clock, log, timers }
}

describe('writing', () => {
  it('coalesces what comes within 25 ms', async () => {
    const { dir, clock, log } = await open1()
    const write = vi.spyOn(handles, 'write')
    log.write('traffic', 3)
    expect(bytesOf(dir)).toBe(0)
    clock.advance(25)
    await until(() => bytesOf(dir) > 0)
    expect(write).toHaveBeenCalledTimes(1)
    write.mockRestore()
    await log.close()
  })

  it('is interrupted for fsyncs and checkpoints where lines never end', async () => {
    const { dir, clock, log } = await open1()
    const { write } = handles
    let writes = 0
    let ending = false
    // There are always more before a write is done, and they are due.
    const busy = vi.spyOn(handles, 'write').mockImplementation(async function (this: FileHandle, ...given: unknown[]) {
      const done = await (write as (...given: unknown[]) => Promise<never>).apply(this, given)
      writes++
      if (!ending) log.write('traffic', 10)
      clock.advance(50)
      return done
    })
    log.write('traffic', 10)
    clock.advance(25)
    await until(() => writes > 1000 || (log.sink.source.bounds('traffic').end > 100 && signed(dir) > 100))
    ending = true
    expect(writes).toBeLessThan(1000)
    busy.mockRestore()
    await log.close()
    expect((await verifyLog(dir)).ok).toBe(true)
  })

  it('refuses a line out of order', async () => {
    const { log } = await open1()
    expect(() => log.sink.append('traffic', 1, '{}')).toThrow('expected line 0, got 1')
    await log.close()
  })

  it('refuses a line that is longer than a line can be, and goes on', async () => {
    const { dir, log } = await open1()
    expect(() => log.sink.append('traffic', 0, `"${'\u20ac'.repeat(maxLineBytes / 3)}"`)).toThrow('longer than 65535')
    log.write('traffic', 1)
    await log.close()
    expect((await verifyLog(dir)).ok).toBe(true)
  })

  it('writes lines of any size and script', async () => {
    const { dir, log } = await open1()
    for (const text of ['', 'é', '\u{1f600}'.repeat(10_000), 'x'.repeat(60_000)]) log.write('traffic', 30, { text })
    await log.close()
    expect((await verifyLog(dir)).ok).toBe(true)
  })
})

describe('checkpoints', () => {
  it('come a second after the first line that has none', async () => {
    const { dir, clock, log, timers } = await open1()
    log.write('traffic', 3)
    clock.advance(25)
    // Those of the next fsync and of the checkpoint.
    await until(() => timers() === 2)
    clock.advance(900)
    expect(signed(dir)).toBe(0)
    clock.advance(100)
    await until(() => signed(dir) === 3)
    await log.close()
  })

  it.each(['interval', 'group'] as const)(
    '%s: come with the next fsync when enough lines have none, and want none of their own',
    async (durability) => {
      const { dir, clock, log, timers } = await open1({ checkpoint: { lines: 50 }, durability })
      const sync = vi.spyOn(handles, 'datasync')
      log.write('security', 50)
      clock.advance(25)
      await until(() => timers() === 2)
      expect(sync).not.toHaveBeenCalled()
      if (durability === 'group') await log.sink.durable('security', 49)
      else clock.advance(100)
      await until(() => signed(dir, 'security') === 50)
      expect(sync).toHaveBeenCalledTimes(1)
      sync.mockRestore()
      await log.close()
    },
  )

  it('come at once when enough lines have none and no fsync is to come', async () => {
    const { dir, clock, log } = await open1({ checkpoint: { lines: 50 }, durability: 'none' })
    log.write('security', 50)
    clock.advance(25)
    await until(() => signed(dir, 'security') === 50)
    await log.close()
  })

  it('leave out what full tiles do not hold where only the number of lines asks for them', async () => {
    const { dir, clock, log, timers } = await open1()
    const tiles = (level: number) => {
      const folder = join(dir, 'a/traffic/tile', String(level))
      return existsSync(folder) ? readdirSync(folder).sort() : []
    }
    log.write('traffic', 999)
    clock.advance(25)
    await until(() => timers() === 2)
    clock.advance(500)
    expect(signed(dir)).toBe(0)
    // They are fsynced.
    await until(() => log.grown.length > 0)
    log.write('traffic', 2)
    clock.advance(25)
    await until(() => timers() === 2)
    clock.advance(75)
    await until(() => signed(dir) > 0)
    expect(signed(dir)).toBe(768)
    expect(tiles(0)).toEqual(['000', '001', '002'])
    expect(tiles(1)).toEqual(['000.p'])
    expect((await verifyLog(dir)).instances[0]?.logs[0]).toMatchObject({ lines: 1001, signed: 768, problemCount: 0 })
    // A second after the first of all lines, not of those that were left out.
    clock.advance(400)
    await until(() => signed(dir) === 1001)
    expect(tiles(0)).toEqual(['000', '001', '002', '003.p'])
    await log.close()
    expect((await verifyLog(dir)).instances[0]?.logs[0]).toMatchObject({ lines: 1001, signed: 1001, problemCount: 0 })
  })

  it('cover every line at close', async () => {
    const { dir, log } = await open1()
    log.write('control', 7)
    expect(await log.close()).toEqual({ unwritten: 0 })
    expect(signed(dir, 'control')).toBe(7)
    expect(existsSync(join(dir, 'a', 'lock'))).toBe(false)
  })
})

describe('durability', () => {
  it('interval fsyncs each line 100 ms after it came', async () => {
    const { dir, clock, log, timers } = await open1()
    const sync = vi.spyOn(handles, 'datasync')
    log.write('traffic', 1)
    clock.advance(25)
    await until(() => bytesOf(dir) > 0 && timers() === 2)
    clock.advance(74)
    expect(sync).not.toHaveBeenCalled()
    clock.advance(1)
    await until(() => sync.mock.calls.length > 0)
    sync.mockRestore()
    await log.close()
  })

  it.each(['none', 'interval', 'group'] as const)(
    '%s: durable resolves after a real fsync, shared by all who wait',
    async (durability) => {
      const { log } = await open1({ durability })
      const sync = vi.spyOn(handles, 'datasync')
      const waits = Array.from({ length: 20 }, () => log.sink.durable('traffic', log.write('traffic', 1)))
      await Promise.all(waits)
      expect(sync).toHaveBeenCalledTimes(1)
      await log.sink.durable('traffic', 19)
      expect(sync).toHaveBeenCalledTimes(1)
      sync.mockRestore()
      await log.close()
    },
  )

  it('rejects when the store closes before the line came', async () => {
    const { log } = await open1()
    const never = log.sink.durable('traffic', 5)
    await Promise.all([expect(never).rejects.toMatchObject({ code: 'closed' }), log.close()])
  })
})

describe('a write that fails', () => {
  it('is repeated in place until it succeeds, and told once each way', async () => {
    const { dir, clock, log, timers } = await open1()
    const write = vi.spyOn(handles, 'write').mockRejectedValue(noSpace())
    log.write('traffic', 100)
    clock.advance(25)
    await until(() => log.sink.fault('traffic') !== undefined)
    log.write('traffic', 100)
    for (let calls = 1; calls < 4; calls++) {
      await until(() => write.mock.calls.length === calls && timers() > 0)
      clock.advance(5_000)
    }
    await until(() => write.mock.calls.length === 4)
    write.mockRestore()
    const durable = log.sink.durable('traffic', 199)
    await until(() => {
      clock.advance(5_000)
      return log.sink.fault('traffic') === undefined
    })
    await durable
    expect(log.told).toEqual(['the log cannot be written, and its lines wait', 'the log can be written again'])
    await log.close()
    const report = await verifyLog(dir)
    expect(report.instances[0]?.logs[0]).toMatchObject({ lines: 200, signed: 200, problemCount: 0 })
  })

  it('after half of the bytes leaves no gap and no double', async () => {
    const { dir, clock, log } = await open1()
    const original = handles.write
    let calls = 0
    const write = vi.spyOn(handles, 'write').mockImplementation(function (this: FileHandle, ...args: unknown[]) {
      const [bytes, from, length, at] = args as [Buffer, number, number, number]
      if (++calls === 2) return Promise.reject(noSpace())
      const half = calls === 1 ? Math.floor(length / 2) : length
      return Reflect.apply(original, this, [bytes, from, half, at]) as never
    } as never)
    log.write('traffic', 100)
    clock.advance(25)
    await until(() => log.sink.fault('traffic') !== undefined)
    clock.advance(250)
    await until(() => log.sink.fault('traffic') === undefined)
    write.mockRestore()
    await log.close()
    expect((await verifyLog(dir)).instances[0]?.logs[0]).toMatchObject({ lines: 100, problemCount: 0 })
  })

  it('of an fsync writes again what may be lost, before the next', async () => {
    const { log } = await open1()
    const sync = vi.spyOn(handles, 'datasync').mockRejectedValueOnce(Object.assign(new Error('EIO'), { code: 'EIO' }))
    const write = vi.spyOn(handles, 'write')
    let done = false
    const waiting = log.sink.durable('traffic', log.write('traffic', 10)).then(() => {
      done = true
    })
    await until(() => log.sink.fault('traffic') !== undefined)
    expect(done).toBe(false)
    const closing = log.close()
    await waiting
    expect(write).toHaveBeenCalledTimes(2)
    expect(write.mock.calls[1]?.[3 as never]).toBe(0)
    await closing
    sync.mockRestore()
    write.mockRestore()
  })

  describe('of a checkpoint', () => {
    /** A log of which checkpoints cannot be published from its 20th line on: there is a folder in their place. */
    async function obstructed(options: Partial<Parameters<typeof openLog>[0]> = {}) {
      const { dir, clock, log } = await open1({ segment: { maxBytes: 5000 }, ...options })
      const pass = (holds: () => boolean) =>
        until(() => {
          clock.advance(250)
          return holds()
        })
      // What closes has a deadline, and the disk of a busy machine takes its time: here the clock waits for it.
      const close = async () => {
        let closed: unknown
        void log.close().then((result) => {
          closed = result
        })
        for (; closed === undefined; await sleep(1)) clock.advance(5)
        return closed
      }
      const durable = async (count: number) => {
        let done = false
        void log.sink.durable('traffic', log.write('traffic', count)).then(() => {
          done = true
        })
        await pass(() => done)
      }
      await durable(20)
      await pass(() => signed(dir) === 20)
      const note = join(dir, 'a/traffic/checkpoint')
      const last = readFileSync(note)
      rmSync(note)
      mkdirSync(note)
      const restore = () => {
        rmdirSync(note)
        writeFileSync(note, last)
      }
      const changes = () => log.notices.filter(({ event }) => event === 'audit.sink_changed').map(({ facts }) => facts)
      return { dir, clock, log, pass, durable, restore, changes, close }
    }

    it('is tried again, and lines and segments go on meanwhile', async () => {
      const { dir, log, pass, durable, restore, changes } = await obstructed()
      // What came before the first failure, and what came after.
      for (let round = 0; round < 4; round++) await durable(50)
      await pass(() => log.told.length > 0)
      await durable(50)
      expect(segments(dir).length).toBeGreaterThan(4)
      expect(log.sink.fault('traffic')).toBeUndefined()
      expect(log.told).toEqual(['checkpoints cannot be published, and lines go on without'])
      restore()
      await pass(() => log.told.length > 1)
      expect(log.told[1]).toBe('checkpoints can be published again')
      await pass(() => signed(dir) === 270)
      expect(changes()).toMatchObject([
        { from: 'ok', to: 'unsigned', waiting: expect.any(Number), last_error: expect.stringContaining('rename') },
        { from: 'unsigned', to: 'ok' },
      ])
      expect(await log.close()).toEqual({ unwritten: 0 })
      expect((await verifyLog(dir)).instances[0]?.logs[0]).toMatchObject({ lines: 270, unsigned: 0, problemCount: 0 })
    })

    it('at close is tried for two seconds, and the next start signs', async () => {
      const { dir, log, clock, durable, restore, close } = await obstructed()
      await durable(100)
      log.write('traffic', 10)
      const before = clock.now()
      expect(await close()).toEqual({ unwritten: 0 })
      expect(clock.now() - before).toBeGreaterThanOrEqual(1750)
      restore()
      const again = await openLog({ dir, instance: 'a' })
      expect(again.notices.map(({ facts }) => facts)).toEqual([{ unsigned_lines: 110 }])
      await again.close()
      expect((await verifyLog(dir)).instances[0]?.logs[0]).toMatchObject({ lines: 130, unsigned: 0, problemCount: 0 })
    })

    it('at close is over as soon as the disk takes it', async () => {
      const { dir, log, clock, durable, restore, close } = await obstructed()
      await durable(100)
      const before = clock.now()
      const closing = close()
      await until(() => clock.now() - before > 1000)
      restore()
      expect(await closing).toEqual({ unwritten: 0 })
      expect(log.told.at(-1)).toBe('checkpoints can be published again')
      expect((await verifyLog(dir)).instances[0]?.logs[0]).toMatchObject({ lines: 120, unsigned: 0, problemCount: 0 })
    })

    it('has a change of keys wait', async () => {
      const { dir, log, pass, durable, restore } = await obstructed()
      const old = readFileSync(join(dir, 'a/vkey'), 'utf8').trim()
      let changed: { from: string } | undefined
      void log.sink.rotateKey!().then((keys) => {
        changed = keys
      })
      for (let round = 0; round < 3; round++) await durable(50)
      expect(changed).toBeUndefined()
      restore()
      await pass(() => changed !== undefined)
      expect(changed!.from).toBe(old)
      await log.close()
      expect(await verifyLog(dir)).toMatchObject({ ok: true })
    })

    describe('leaves a log of which retention has deleted all that was signed', () => {
      async function left() {
        const { dir, pass, durable, restore, close } = await obstructed({ maxBytes: 40_000 })
        for (let round = 0; round < 10; round++) await durable(50)
        await pass(() => Number.parseInt(segments(dir)[0]!, 10) > 100)
        expect(await close()).toEqual({ unwritten: 0 })
        restore()
        return dir
      }

      it('which goes on', async () => {
        const dir = await left()
        const first = Number.parseInt(segments(dir)[0]!, 10)
        const log = await openLog({ dir, instance: 'a' })
        const unsigned_lines = log.opened.heads.traffic.next - first
        expect(log.notices.map(({ facts }) => facts)).toEqual([
          { reason: 'lines were deleted before they were signed', first: 20, last: first - 1, unsigned_lines },
        ])
        await log.close()
        expect(await verifyLog(dir)).toMatchObject({ ok: true })
      })

      it.each([
        [
          'of what was signed has changed',
          'the lines do not match the checkpoint',
          (dir: string) => {
            const tile = join(dir, 'a/traffic/tile/0/000')
            const bytes = readFileSync(tile)
            bytes[3]! ^= 1
            writeFileSync(tile, bytes)
          },
        ],
        [
          'of what was not is missing',
          'the hashes of deleted lines are missing',
          (dir: string) => {
            for (const name of segments(dir)) rmSync(join(dir, 'a/traffic/segments', name))
            writeFileSync(join(dir, 'a/traffic/segments/0281474976710656.jsonl'), '')
            writeFileSync(join(dir, 'a/traffic/tile/1/000'), Buffer.alloc(8192))
          },
        ],
      ])('but not where a hash %s', async (_, reason, change) => {
        const dir = await left()
        change(dir)
        const log = await openLog({ dir, instance: 'a' })
        expect(log.notices[0]!.facts).toMatchObject({ aside: expect.any(String), reason })
        await log.close()
      })
    })
  })

  it('has bounded memory: then lines are refused, not forgotten', async () => {
    const { clock, log } = await open1()
    const write = vi.spyOn(handles, 'write').mockRejectedValue(noSpace())
    const line = 'x'.repeat(65_000)
    let taken = 0
    while (log.sink.append('traffic', taken, line)) taken++
    expect(taken * line.length).toBeGreaterThanOrEqual(64 * 1024 ** 2)
    expect(taken * line.length).toBeLessThan(70 * 1024 ** 2)
    const closing = log.sink.close(600_000)
    await until(() => {
      clock.advance(100)
      return write.mock.calls.length > 2
    })
    clock.advance(600_000)
    expect(await closing).toEqual({ unwritten: taken })
    write.mockRestore()
  })
})

it('a segment that cannot be made durable is left without an open file', async () => {
  const dir = tempFolder()
  const sync = vi.spyOn(handles, 'sync').mockRejectedValue(noSpace())
  const open = () => readdirSync('/proc/self/fd').length
  const before = open()
  for (let i = 0; i < 10; i++) await expect(SegmentFile.create(dir, 0, 0o640, 0)).rejects.toThrow('ENOSPC')
  sync.mockRestore()
  expect(open()).toBeLessThan(before + 5)
})

describe('rotation', () => {
  it('is by size: no segment is larger, and each is told', async () => {
    const { dir, log } = await open1({ segment: { maxBytes: 5_000 } })
    await log.sink.durable('traffic', log.write('traffic', 200))
    const sizes = segments(dir).map((name) => statSync(join(dir, 'a/traffic/segments', name)).size)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(5_000)
    const [first, second] = log.notices
    expect(first).toEqual({
      event: 'audit.rotated',
      log: 'traffic',
      facts: { segment: '0000000000000000.jsonl', first: 0, last: expect.any(Number), bytes: sizes[0] },
    })
    expect(second?.facts.first).toBe(Number(first?.facts.last) + 1)
    await log.close()
  })

  it('that retention asks for and the disk refuses is tried again, though no line comes', async () => {
    const { dir, clock, log } = await open1({ retention: { traffic: { maxAgeMs: 60_000 } } })
    await log.sink.durable('traffic', log.write('traffic', 5))
    const next = join(dir, 'a/traffic/segments/0000000000000005.jsonl')
    mkdirSync(next)
    clock.advance(3_600_000)
    await until(() => log.sink.fault('traffic') !== undefined)
    rmdirSync(next)
    // Not until retention looks again.
    let steps = 20
    await until(() => {
      if (steps-- > 0) clock.advance(250)
      return log.sink.fault('traffic') === undefined
    })
    expect(statSync(next).isFile()).toBe(true)
    await log.close()
  })

  it('is by age, at the first line after', async () => {
    const { dir, clock, log } = await open1({ segment: { maxAgeMs: 60_000 } })
    await log.sink.durable('traffic', log.write('traffic', 5))
    clock.advance(60_000)
    expect(segments(dir)).toHaveLength(1)
    await log.sink.durable('traffic', log.write('traffic', 1))
    expect(segments(dir)).toEqual(['0000000000000000.jsonl', '0000000000000005.jsonl'])
    await log.close()
  })
})
