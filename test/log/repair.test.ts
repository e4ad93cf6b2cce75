// What others do to the segment that is being written is noticed within a second, put right, and told.
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { until } from '../support/until.ts'

const name = '0000000000000000.jsonl'
const folder = (dir: string) => join(dir, 'a/traffic/segments')
const path = (dir: string) => join(folder(dir), name)
const indices = (dir: string) =>
  readdirSync(folder(dir))
    .filter((one) => one.endsWith('.jsonl'))
    .sort()
    .flatMap((one) =>
      readFileSync(join(folder(dir), one), 'utf8')
        .split('\n')
        .slice(0, -1),
    )
    .map((line) => JSON.parse(line).audit.index)

async function writing() {
  const dir = tempFolder()
  const clock = fakeClock()
  const log = await openLog({ dir, instance: 'a' }, { clock })
  clock.advance(1000)
  await log.sink.durable('traffic', log.write('traffic', 99))
  clock.advance(1000)
  // The look that is due comes before it, and sees nothing of what the test does.
  await log.sink.durable('traffic', log.write('traffic', 1))
  const recovered = () => log.notices.filter(({ event }) => event === 'audit.recovered').map(({ facts }) => facts)
  const noticed = () =>
    until(() => {
      clock.advance(100)
      return recovered().length > 0
    })
  return { dir, clock, log, recovered, noticed }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

describe('deleted', () => {
  it('it is written anew, with the lines that came after', async () => {
    const { dir, log, recovered, noticed } = await writing()
    unlinkSync(path(dir))
    await log.sink.durable('traffic', log.write('traffic', 50))
    await noticed()
    expect(recovered()).toEqual([
      { reason: 'the segment was deleted', segment: name, restored_bytes: expect.any(Number) },
    ])
    expect(log.told).toEqual(['somebody has changed the segment that is being written'])
    log.write('traffic', 50)
    await log.close()
    expect(indices(dir)).toEqual(range(0, 200))
    expect(await verifyLog(dir)).toMatchObject({ ok: true })
  })

  it('with its folder, it is too', async () => {
    const { dir, log, noticed } = await writing()
    rmSync(folder(dir), { recursive: true })
    await noticed()
    await log.close()
    expect(indices(dir)).toEqual(range(0, 100))
  })

  it('it is found at the last moment, when the log closes', async () => {
    const { dir, log } = await writing()
    unlinkSync(path(dir))
    await log.close()
    expect(indices(dir)).toEqual(range(0, 100))
  })
})

it('replaced, or moved away by a rotation from outside, it gets its name back, and what took it is kept', async () => {
  const { dir, log, recovered, noticed } = await writing()
  renameSync(path(dir), `${path(dir)}.1`)
  writeFileSync(path(dir), 'something else\n')
  await log.sink.durable('traffic', log.write('traffic', 50))
  await noticed()
  expect(recovered()).toMatchObject([{ reason: 'the segment was replaced', torn_file: `${name}.torn-0` }])
  expect(readFileSync(`${path(dir)}.torn-0`, 'utf8')).toBe('something else\n')
  await log.close()
  expect(indices(dir)).toEqual(range(0, 150))
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

describe('cut short', () => {
  it('no sink gets what stands behind the hole before that is put right, and none the hole', async () => {
    const { dir, log, noticed } = await writing()
    const whole = readFileSync(path(dir))
    const most = { lines: 1000, bytes: 1 << 20 }
    const read = async (from: number, key: object) => {
      const stretch = await log.sink.source.read('traffic', from, most, key)
      return stretch !== undefined && 'lines' in stretch
        ? stretch.lines.map((line) => JSON.parse(line).audit.index)
        : stretch
    }
    // It has its place in the segment: behind the cut.
    const ahead = {}
    expect(await read(0, ahead)).toEqual(range(0, 100))
    truncateSync(path(dir), whole.indexOf('\n') * 10)
    await log.sink.durable('traffic', log.write('traffic', 50))
    const behind = {}
    const left = (await read(0, behind)) as number[]
    expect(left).toEqual(range(0, left.length))
    expect(left.length).toBeLessThan(10)
    expect(await read(left.length, behind)).toBeUndefined()
    // Whoever comes to the hole on the way to its place does not know where it is then.
    expect(await read(120, {})).toBeUndefined()
    expect(await read(100, ahead)).toEqual(range(100, 150))
    await noticed()
    expect(await read(left.length, behind)).toEqual({ through: 100, reason: 'lost' })
    expect(await read(120, {})).toEqual(range(120, log.opened.heads.traffic.next + 150))
    await log.close()
  })

  it.each([
    ['to nothing, as copytruncate does', 0, 0, 0],
    ['to nothing, and written to again', 0, 60, 0],
    ['within a line', 1234, 0, 9],
    ['within a line, and written to again', 1234, 60, 9],
  ])('%s: tells which lines are gone, keeps the others, and goes on in the same history', async (_, to, more, left) => {
    const { dir, clock, log, recovered, noticed } = await writing()
    copyFileSync(path(dir), `${path(dir)}.1`)
    truncateSync(path(dir), to)
    if (more > 0) await log.sink.durable('traffic', log.write('traffic', more))
    await noticed()
    const lines =
      readFileSync(`${path(dir)}.1`, 'utf8')
        .slice(0, to)
        .split('\n').length - 1
    expect(lines).toBe(left)
    expect(recovered()).toEqual([{ reason: 'the segment was cut', segment: name, first: left, last: 99 }])
    await log.sink.durable('traffic', log.write('traffic', 40))
    const { origin } = log.opened.heads.traffic
    await log.close()
    expect(indices(dir)).toEqual([...range(0, left), ...range(100, 140 + more)])
    // That lines are gone does not hold, and stays so; no other line is wrong.
    const report = await verifyLog(dir)
    expect(report.instances[0]!.logs[0]!.problems.map(({ fact }) => fact)).toEqual([
      expect.stringMatching(left > 0 ? 'lines 9 to 99 are missing' : 'lines 0 to 99 are missing'),
    ])
    const again = await openLog({ dir, instance: 'a' }, { clock })
    expect(again.opened.heads.traffic).toEqual({ origin, next: 140 + more })
    expect(again.notices).toEqual([])
    await again.close()
  })

  it('takes no line with it that had not been written', async () => {
    const { dir, log, noticed } = await writing()
    truncateSync(path(dir), 0)
    log.write('traffic', 1)
    await noticed()
    await log.close()
    expect(indices(dir)).toEqual([100])
  })
})

it('a closed segment that is deleted is told within a minute', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 5000 } }, { clock })
  await log.sink.durable('traffic', log.write('traffic', 200))
  const [, second, third] = readdirSync(folder(dir)).sort()
  unlinkSync(join(folder(dir), second!))
  await until(() => {
    clock.advance(1000)
    return log.told.length > 0
  })
  expect(log.notices.filter(({ event }) => event === 'audit.recovered')).toMatchObject([
    {
      log: 'traffic',
      facts: {
        reason: 'a closed segment is missing',
        segment: second,
        first: Number(second!.slice(0, 16)),
        last: Number(third!.slice(0, 16)) - 1,
      },
    },
  ])
  await log.close()
})

it('a hash tile that cannot be deleted holds up no line, and is told within a minute', async () => {
  const { dir, clock, log } = await writing()
  const signed = async () => {
    const index = log.write('traffic', 10)
    await log.sink.durable('traffic', index)
    await until(() => {
      clock.advance(100)
      const size = log.sink.source.checkpoint('traffic')?.note.split('\n')[1]
      return size === String(index + 1)
    })
  }
  await signed()
  const partial = join(dir, 'a/traffic/tile/0/000.p')
  // Those that were replaced go behind the checkpoint.
  await until(() => readdirSync(partial).length === 1)
  for (const width of readdirSync(partial)) {
    rmSync(join(partial, width))
    // Nothing that can be unlinked.
    mkdirSync(join(partial, width))
  }
  await signed()
  await signed()
  expect(log.sink.fault('traffic')).toBeUndefined()
  await until(() => {
    clock.advance(1000)
    return log.told.length > 0
  })
  expect(log.told).toEqual(['hash tiles that wider ones have replaced cannot be deleted'])
  expect(await log.close()).toEqual({ unwritten: 0 })
  expect(log.told).toHaveLength(1)
})

it('a checkpoint and a verifier key that are deleted are published again', async () => {
  const { dir, clock, log } = await writing()
  rmSync(join(dir, 'a/traffic/checkpoint'))
  const vkey = readFileSync(join(dir, 'a/vkey'))
  rmSync(join(dir, 'a/vkey'))
  log.write('traffic', 1)
  await until(() => {
    clock.advance(1000)
    return readdirSync(join(dir, 'a')).includes('vkey') && readdirSync(join(dir, 'a/traffic')).includes('checkpoint')
  })
  expect(readFileSync(join(dir, 'a/vkey'))).toEqual(vkey)
  await log.close()
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})
