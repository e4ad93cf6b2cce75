// The options of the file sink, and what it leaves in its folder.
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { BalancerError } from '../../src/errors.ts'
import { parseVkey } from '../../src/log/note.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { seededRandom } from '../../src/random.ts'
import { host, stderrLogger } from '../../src/runtime.ts'
import { type FileSinkOptions, fileSink } from '../../src/sinks/file.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'

const context = { service: 'shop', clock: systemClock, random: seededRandom(1), logger: stderrLogger }
const hooks = { notify: () => undefined, grown: () => undefined }

describe('options', () => {
  it('that are not valid are all named', () => {
    const options = { dir: '', durability: 'x', instance: '../up', maxBytes: 0, segment: { maxBytes: 1.5 }, extra: 1 }
    try {
      fileSink(options as unknown as FileSinkOptions)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(BalancerError)
      const { code, problems } = error as BalancerError
      expect(code).toBe('config-invalid')
      expect(problems.map((one) => one.path).sort()).toEqual(
        ['dir', 'durability', 'extra', 'instance', 'maxBytes', 'segment.maxBytes'].sort(),
      )
    }
  })

  it('have least sizes, below which a log would be made of its own events', () => {
    const problems = (options: object): string[] => {
      try {
        fileSink({ dir: 'x', ...options })
        return []
      } catch (error) {
        return (error as BalancerError).problems.map((one) => one.path)
      }
    }
    expect(problems({ maxBytes: 1024 ** 2, segment: { maxBytes: 65_536 } })).toEqual([])
    expect(problems({ maxBytes: 1024 ** 2 - 1, segment: { maxBytes: 65_535 } })).toEqual([
      'maxBytes',
      'segment.maxBytes',
    ])
  })

  it('name the sink that `remote` waits for, and only for that', () => {
    expect(fileSink({ dir: 'x', durability: 'remote', remote: 'siem' })).toMatchObject({
      durability: 'remote',
      remote: 'siem',
    })
    expect(() => fileSink({ dir: 'x', durability: 'remote' })).toThrow('remote: expected the name of a sink')
    expect(() => fileSink({ dir: 'x', remote: 'siem' })).toThrow(
      "remote: expected nothing, without durability 'remote'",
    )
  })

  it.each([
    'holds',
    'traffic',
    'Security',
    'control',
    'vkey',
    'key',
    'lock',
    'cursors',
    'holds.json',
    'traffic.aside-1',
  ])('refuse %s for an instance, which means something else in the folder', (instance) => {
    expect(() => fileSink({ dir: 'x', instance })).toThrow('instance: expected another name')
  })

  it.each(['traffic.0', 'control-1', '.aside', 'aside-1', 'edge.lock'])('take %s for an instance', async (instance) => {
    const dir = tempFolder()
    for (const name of [instance, 'web.0']) await (await openLog({ dir, instance: name })).close()
    expect(await verifyLog(dir)).toMatchObject({ ok: true, instances: [{ instance }, { instance: 'web.0' }] })
  })

  it('ask for one kind of key', () => {
    for (const key of [{}, { file: 'x', certify: true }, { certify: true }, { sign: () => Buffer.alloc(64) }])
      expect(() => fileSink({ dir: 'x', key })).toThrow('key: expected either `file`, or `publicKey` and `sign`')
  })

  it('have defaults', () => {
    expect(fileSink({ dir: 'x' })).toMatchObject({
      name: 'file',
      kind: 'store',
      durability: 'interval',
    })
  })
})

it('is opened once at a time, and again after it failed or was closed', async () => {
  const dir = tempFolder()
  const sink = fileSink({ dir })
  const results = await Promise.allSettled([sink.open(context, hooks), sink.open(context, hooks)])
  expect(results.map((one) => one.status)).toEqual(['fulfilled', 'rejected'])
  expect((results[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'sink-unavailable' })
  expect(readdirSync(dir)).toEqual([`${host()}.0`])
  await sink.close(600_000)
  await sink.release()
  expect((await sink.open(context, hooks)).instance).toBe(`${host()}.0`)
  await sink.close(600_000)
  await sink.release()
})

it('takes no line before it is open and after it is closed', async () => {
  const sink = fileSink({ dir: tempFolder(), instance: 'a' })
  expect(sink.append('traffic', 0, '{}')).toBe(false)
  expect(sink.fault('traffic')).toBe('it is not open')
  await sink.open(context, hooks)
  expect(sink.fault('traffic')).toBeUndefined()
  expect(sink.append('traffic', 0, '{}')).toBe(true)
  expect(await sink.close(600_000)).toEqual({ unwritten: 0 })
  expect(sink.append('traffic', 1, '{}')).toBe(false)
  await sink.release()
  await expect(sink.durable('traffic', 0)).rejects.toMatchObject({ code: 'closed' })
})

it('leaves keys, checkpoints and segments of the modes that were asked for', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, mode: 0o600 }, { service: 'my shop' })
  log.write('traffic', 300)
  await log.close()
  const { instance, heads } = log.opened
  expect(instance).toBe(`${host()}.0`)
  expect(heads.traffic.origin).toMatch(new RegExp(`^my-shop/${instance}/traffic/[0-9a-f]{16}$`))
  const mode = (name: string) => (statSync(join(dir, instance, name)).mode & 0o777).toString(8)
  expect(
    ['key', 'traffic/checkpoint', 'traffic/segments/0000000000000000.jsonl', 'traffic/tile/0/000'].map(mode),
  ).toEqual(Array.from({ length: 4 }, () => '600'))
  expect(parseVkey(readFileSync(join(dir, instance, 'vkey'), 'utf8')).name).toBe(`my-shop/${instance}`)
})

describe('a folder that cannot be used', () => {
  it('is named, with what was tried and the fact', async () => {
    const file = join(tempFolder(), 'file')
    writeFileSync(file, '')
    const dir = join(file, 'audit')
    await expect(fileSink({ dir }).open(context, hooks)).rejects.toMatchObject({
      code: 'sink-unavailable',
      message: expect.stringMatching(`mkdir ${dir}: ENOTDIR`),
    })
  })

  it('is left without open files, however often it is tried', async () => {
    const dir = tempFolder()
    await (await openLog({ dir, instance: 'a' })).close()
    const control = join(dir, 'a', 'control', 'segments')
    rmSync(control, { recursive: true })
    writeFileSync(control, '')
    const sink = fileSink({ dir, instance: 'a' })
    const attempt = () => expect(sink.open(context, hooks)).rejects.toMatchObject({ code: 'sink-unavailable' })
    await attempt()
    const before = readdirSync('/proc/self/fd').length
    for (let i = 0; i < 10; i++) await attempt()
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 5)
  })

  it('can be opened later', async () => {
    const dir = tempFolder()
    const sink = fileSink({ dir, instance: 'a' })
    mkdirSync(join(dir, 'a'))
    writeFileSync(join(dir, 'a', 'key'), 'no key')
    await expect(sink.open(context, hooks)).rejects.toMatchObject({ code: 'sink-unavailable' })
    writeFileSync(join(dir, 'a', 'key'), readFileSync(join(await keyFolder(), 'key')))
    chmodSync(join(dir, 'a', 'key'), 0o600)
    expect((await sink.open(context, hooks)).instance).toBe('a')
    await sink.close(600_000)
    await sink.release()
  })
})

async function keyFolder(): Promise<string> {
  const dir = tempFolder()
  await (await openLog({ dir, instance: 'b' })).close()
  return join(dir, 'b')
}

it('two sinks on one folder write apart, and a name that is held is refused', async () => {
  const dir = tempFolder()
  const [one, two] = [await openLog({ dir }), await openLog({ dir })]
  expect(one.opened.instance).not.toBe(two.opened.instance)
  await expect(openLog({ dir, instance: one.opened.instance })).rejects.toMatchObject({ code: 'instance-held' })
  await Promise.all([one.close(), two.close()])
})
