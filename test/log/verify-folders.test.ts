// What lies beside and around the logs of a folder: none of it is passed over in silence.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { pruneLog } from '../../src/audit/prune.ts'
import { proveLine } from '../../src/log/prove.ts'
import { queryLog } from '../../src/log/query.ts'
import { type VerifyOptions, verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'

/** An instance of three logs of three lines each. */
async function instance(dir: string, signer = newSigner('shop/a')) {
  const roster: Record<string, object> = {}
  const logs: HandLog[] = []
  for (const name of ['traffic', 'security', 'control']) {
    const log = await HandLog.begin(dir, name, signer)
    log.write(3)
    const [, size, root] = (await log.sign()).split('\n')
    roster[log.origin] = { size: Number(size), root }
    logs.push(log)
  }
  return { signer, roster, logs }
}

async function judged(dir: string, options: VerifyOptions = {}) {
  const report = await verifyLog(dir, options)
  const { ok, instances, problems } = report
  const all = [
    ...instances.flatMap((one) => [...one.logs.flatMap((log) => log.problems), ...one.problems]),
    ...problems,
  ]
  return { ok, report, all: all.map(({ file, fact }) => ({ file, fact })) }
}

describe('an instance that cannot be read', () => {
  async function hidden() {
    const dir = tempFolder()
    const made = await instance(join(dir, 'a'))
    // Whoever runs as root may read any folder, but not a link that leads to itself.
    symlinkSync('b', join(dir, 'b'))
    return { dir, file: join(dir, 'b'), ...made }
  }
  const fact = 'it cannot be read: ELOOP'

  it('is a problem of the folder, and the others are verified', async () => {
    const { dir, file, signer } = await hidden()
    for (const options of [{}, { vkey: signer.vkey }]) {
      const { ok, report, all } = await judged(dir, options)
      expect({ ok, all }).toEqual({ ok: false, all: [{ file, fact }] })
      expect(report.instances[0]!.logs.map(({ signed }) => signed)).toEqual([3, 3, 3])
    }
  })

  it('is one where it is the only one, and where it would lie in the folder of a service', async () => {
    const dir = tempFolder()
    mkdirSync(join(dir, 'shop'))
    const files = [join(dir, 'shop/x'), join(dir, 'x')]
    for (const file of files) symlinkSync('x', file)
    expect((await judged(dir)).all).toEqual(files.map((file) => ({ file, fact })))
  })

  it('is told by whoever queries, proves and prunes', async () => {
    const { dir, file, logs } = await hidden()
    const query = async (): Promise<void> => {
      for await (const _ of queryLog(dir)) throw new Error('it should not come to that')
    }
    await expect(query()).rejects.toMatchObject({ code: 'log-invalid', message: expect.stringContaining(file) })
    const { origin } = logs[0]!
    expect(await proveLine(dir, origin, 1)).toContain(origin)
    await expect(proveLine(dir, 'shop/b/traffic/0', 1)).rejects.toThrow(`${file}: ${fact}`)
    expect(await pruneLog(dir)).toContainEqual({ instance: 'b', pruned: [], fault: fact })
  })

  it('is none if it is a file, a link to nowhere, or what a file system keeps for itself', async () => {
    const { dir, file } = await hidden()
    rmSync(file)
    symlinkSync('lost+found', join(dir, 'lost+found'))
    symlinkSync('nowhere', join(dir, 'link'))
    writeFileSync(join(dir, 'file'), '')
    chmodSync(join(dir, 'file'), 0)
    expect(await judged(dir)).toMatchObject({ ok: true, all: [] })
  })
})

describe('what is no file that can be read', () => {
  const pipe = (path: string): void => {
    rmSync(path, { force: true })
    execFileSync('mkfifo', [path])
  }
  const zero = (path: string): void => {
    rmSync(path, { force: true })
    symlinkSync('/dev/zero', path)
  }
  const folder = (path: string): void => {
    rmSync(path, { force: true })
    mkdirSync(path)
  }
  const huge = (path: string): void => {
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, '')
    truncateSync(path, 3e9)
  }
  const segment = 'traffic/segments/0000000000000000.jsonl'
  const tile = 'traffic/tile/0/000.p/3'
  const noFile = 'it cannot be read: it is no regular file'
  const tooLarge = 'it cannot be read: it has 3000000000 bytes, and may have 67108864'
  const lost = 'the hashes are missing or cut off'
  it.each([
    ['traffic/checkpoint', pipe, noFile],
    ['traffic/checkpoint', zero, noFile],
    ['traffic/checkpoint', huge, tooLarge],
    ['traffic/checkpoint', folder, 'it cannot be read: EISDIR'],
    [segment, pipe, noFile],
    [segment, zero, noFile],
    ['traffic/segments/0000000000000003.jsonl', zero, noFile],
    ['traffic/segments/0000000000000003.jsonl.gz', pipe, noFile],
    [tile, pipe, lost],
    [tile, zero, lost],
    [tile, huge, lost],
    ['traffic/statement', folder, 'the statement of the witness is not valid: it cannot be read: EISDIR'],
    ['traffic/statement', pipe, `the statement of the witness is not valid: ${noFile}`],
    ['traffic/keys/0000000000000002', huge, `the kept checkpoint does not fit: ${tooLarge}`],
    ['witness.vkey', folder, 'it cannot be read: EISDIR'],
    ['witness.vkey', huge, tooLarge],
  ])('is a problem of its log, and the others are told: %s', async (name, put, fact) => {
    const dir = tempFolder()
    await instance(join(dir, 'a'))
    await instance(join(dir, 'b'), newSigner('shop/b'))
    const file = join(dir, 'a', name)
    put(file)
    const { ok, report, all } = await judged(dir)
    expect(ok).toBe(false)
    expect(all).toContainEqual({ file, fact })
    expect(report.instances[1]!.logs.map(({ signed, problemCount }) => [signed, problemCount])).toEqual(
      [1, 2, 3].map(() => [3, 0]),
    )
  })

  it('keeps nobody waiting who queries or proves', async () => {
    const dir = tempFolder()
    const { logs } = await instance(join(dir, 'a'))
    pipe(join(dir, 'a', segment))
    const fact = `${join(dir, 'a', segment)}: it is no regular file`
    await expect(queryLog(dir).next()).rejects.toThrow(fact)
    await expect(proveLine(dir, logs[0]!.origin, 1)).rejects.toThrow(fact)
    pipe(join(dir, 'a/traffic/checkpoint'))
    await expect(proveLine(dir, logs[0]!.origin, 1)).rejects.toThrow('traffic/checkpoint: it is no regular file')
  })
})

describe('a segment', () => {
  const place = async (): Promise<{ dir: string; path: string; lines: string[] }> => {
    const dir = tempFolder()
    const { logs } = await instance(join(dir, 'a'))
    return { dir, path: logs[0]!.path, lines: logs[0]!.lines }
  }

  it('that overlaps the one before is told, and nothing else', async () => {
    const { dir, path, lines } = await place()
    const file = path.replace('0.jsonl', '1.jsonl')
    writeFileSync(file, `${lines[1]}\n`)
    const fact = 'segment 1 overlaps the one before, which ends at line 2'
    expect((await judged(dir)).all).toEqual([{ file, fact }])
  })

  it('with something behind what is compressed is damaged from there on', async () => {
    const { dir, path } = await place()
    const file = `${path}.gz`
    writeFileSync(file, Buffer.concat([gzipSync(readFileSync(path)), Buffer.from('of whatever')]))
    rmSync(path)
    expect((await judged(dir)).all).toContainEqual({ file, fact: 'it is damaged from here on: Z_DATA_ERROR' })
  })
})

it('a log folder that cannot be read is a problem of that log', async () => {
  const dir = tempFolder()
  await instance(join(dir, 'a'))
  rmSync(join(dir, 'a/traffic'), { recursive: true })
  symlinkSync('traffic', join(dir, 'a/traffic'))
  const { report, all } = await judged(dir)
  expect(all.map(({ fact }) => fact)).toContain('it cannot be read: ELOOP')
  expect(report.instances[0]!.logs.map(({ signed }) => signed)).toEqual([0, 3, 3])
})

it('a log of another service that has the same instance is elsewhere', async () => {
  const dir = tempFolder()
  const { roster } = await instance(join(dir, 'a'))
  const other = await instance(join(tempFolder(), 'a'), newSigner('blog/a'))
  const away = Object.keys(other.roster)
  const both = JSON.stringify({ origins: { ...roster, ...other.roster } })
  for (const place of [dir, join(dir, 'a')]) {
    expect((await judged(place, { roster: both })).report).toMatchObject({ ok: true, elsewhere: away })
  }
  // Where no log tells of which service it is, its instance must do.
  for (const log of ['traffic', 'security', 'control']) rmSync(join(dir, 'a', log), { recursive: true })
  expect((await judged(dir, { roster: both })).all.filter(({ fact }) => fact.startsWith('the roster'))).toHaveLength(6)
})
