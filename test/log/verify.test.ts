// Whatever is changed in a folder is found, and the line is named.
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { lineAt, openLog } from '../support/log.ts'

const lines = 700
let template: string
let vkey: string

beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), 'auditlb-'))
  // Small segments, so that there are several.
  const log = await openLog({ dir: template, instance: 'a', segment: { maxBytes: 20_000 } })
  log.write('traffic', lines, { text: 'Grüße \u{fffd}' })
  log.write('control', 3)
  await log.close()
  vkey = readFileSync(join(template, 'a', 'vkey'), 'utf8')
})
afterAll(() => rmSync(template, { recursive: true }))

/** A copy that a test may damage. */
function copy(): { dir: string; traffic: string; segments: string[] } {
  const dir = tempFolder()
  cpSync(template, dir, { recursive: true })
  const traffic = join(dir, 'a', 'traffic')
  const segments = readdirSync(join(traffic, 'segments')).sort()
  return { dir, traffic, segments: segments.map((name) => join(traffic, 'segments', name)) }
}

async function problemsIn(dir: string) {
  const report = await verifyLog(dir, { vkey })
  return { report, problems: report.instances.flatMap((one) => one.logs.flatMap((log) => log.problems)) }
}

describe('an untouched folder', () => {
  it('holds, and is authenticated by a key from outside only', async () => {
    expect(await verifyLog(template)).toMatchObject({ ok: true, authenticated: false })
    const report = await verifyLog(template, { vkey })
    expect(report).toMatchObject({ ok: true, authenticated: true })
    expect(report.instances[0]?.logs[0]).toMatchObject({ log: 'traffic', lines, signed: lines, unsigned: 0, pruned: 0 })
  })

  it('can be verified by instance', async () => {
    expect(await verifyLog(join(template, 'a'), { vkey })).toMatchObject({ ok: true })
  })

  it('does not hold under the key of somebody else', async () => {
    const other = tempFolder()
    await (await openLog({ dir: other, instance: 'a' })).close()
    const report = await verifyLog(template, { vkey: readFileSync(join(other, 'a', 'vkey'), 'utf8') })
    expect(report.ok).toBe(false)
    expect(report.instances[0]?.logs[0]?.problems[0]?.fact).toContain('not signed by a known key')
  })

  it.each([
    ['no-such-folder', 'ENOENT'],
    ['', 'holds no audit log'],
  ])('is not %j', async (name, fact) => {
    await expect(verifyLog(join(tempFolder(), name))).rejects.toMatchObject({
      code: 'log-invalid',
      message: expect.stringContaining(fact),
    })
  })
})

describe('a changed line', () => {
  it('is named, whichever byte it is and whatever it becomes', async () => {
    const { dir, segments } = copy()
    await fc.assert(
      fc.asyncProperty(
        fc.nat(segments.length - 1),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (which, where, flip) => {
          const path = segments[which]!
          const original = readFileSync(path)
          const at = where % original.length
          const altered = Buffer.from(original)
          altered[at]! ^= flip
          writeFileSync(path, altered)
          try {
            const line = original.subarray(0, at).filter((byte) => byte === 0x0a).length + 1
            const { problems } = await problemsIn(dir)
            expect(problems[0]).toMatchObject({ file: path, line })
          } finally {
            writeFileSync(path, original)
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('is found where U+FFFD is replaced by bytes that decode to it', async () => {
    const { dir, segments } = copy()
    const bytes = readFileSync(segments[0]!)
    const at = bytes.indexOf(Buffer.from('\u{fffd}'))
    bytes[at] = 0xf3
    writeFileSync(segments[0]!, bytes)
    expect((await problemsIn(dir)).problems[0]).toMatchObject({
      line: 1,
      index: 0,
      fact: 'the line is not the one that was signed',
    })
  })
})

describe('what is gone', () => {
  it('is told when it is the end', async () => {
    const { dir, segments } = copy()
    const last = segments.at(-1)!
    const kept = readFileSync(last)
    truncateSync(last, kept.lastIndexOf(0x0a, kept.length - 2) + 1)
    const { problems } = await problemsIn(dir)
    expect(problems[0]).toMatchObject({ index: lines - 1, fact: expect.stringContaining('are missing') })
  })

  it('is told when it is a segment in the middle', async () => {
    const { dir, segments } = copy()
    rmSync(segments[1]!)
    expect((await problemsIn(dir)).problems[0]).toMatchObject({
      file: segments[2],
      fact: expect.stringContaining('are missing'),
    })
  })

  it('counts as deleted by retention when it is the first segment, and the rest holds', async () => {
    const { dir, segments } = copy()
    rmSync(segments[0]!)
    const { report } = await problemsIn(dir)
    expect(report.ok).toBe(true)
    expect(report.instances[0]?.logs[0]?.pruned).toBeGreaterThan(0)
  })

  it.each(['checkpoint', 'tile/0/000'])('is told when it is %s', async (name) => {
    const { dir, traffic } = copy()
    rmSync(join(traffic, name))
    expect((await problemsIn(dir)).problems[0]?.file).toBe(join(traffic, name))
  })

  it('is told when it is a whole log', async () => {
    const { dir } = copy()
    rmSync(join(dir, 'a', 'security'), { recursive: true })
    expect((await problemsIn(dir)).problems).toEqual([
      { file: join(dir, 'a', 'security', 'checkpoint'), fact: 'the checkpoint is missing' },
    ])
  })
})

describe('what was moved', () => {
  it('is told when two lines change places', async () => {
    const { dir, segments } = copy()
    const [one, two, ...rest] = readFileSync(segments[0]!, 'utf8').split('\n')
    writeFileSync(segments[0]!, [two, one, ...rest].join('\n'))
    expect((await problemsIn(dir)).problems.map((one) => one.line)).toEqual([1, 2])
  })

  it('is told when two logs change places', async () => {
    const { dir } = copy()
    renameSync(join(dir, 'a', 'traffic'), join(dir, 'a', 'other'))
    renameSync(join(dir, 'a', 'control'), join(dir, 'a', 'traffic'))
    renameSync(join(dir, 'a', 'other'), join(dir, 'a', 'control'))
    expect((await problemsIn(dir)).problems[0]?.fact).toBe('the checkpoint is not one of shop/a/traffic')
  })
})

describe('a changed hash', () => {
  it('of a line is told as such, and the line is not blamed', async () => {
    const { dir, traffic } = copy()
    const tile = join(traffic, 'tile/0/000')
    const bytes = readFileSync(tile)
    bytes[40]! ^= 1
    writeFileSync(tile, bytes)
    expect((await problemsIn(dir)).problems).toEqual([
      { file: tile, index: 1, fact: 'the hash is not that of the line, which is the signed one' },
    ])
  })

  it('of a higher level is told', async () => {
    const { dir, traffic } = copy()
    const tile = join(traffic, 'tile/1/000.p/2')
    const bytes = readFileSync(tile)
    bytes[40]! ^= 1
    writeFileSync(tile, bytes)
    expect((await problemsIn(dir)).problems[0]?.fact).toBe('the hashes are not those of the tiles below')
  })
})

describe('behind the checkpoint', () => {
  const origin = async (dir: string) => (await verifyLog(dir)).instances[0]!.logs[0]!.origin!

  it('whole lines are an unsigned tail, and a line in the making is no problem', async () => {
    const { dir, segments } = copy()
    appendFileSync(segments.at(-1)!, `${lineAt(await origin(dir), lines)}\n{"audit":{"ind`)
    const { report } = await problemsIn(dir)
    expect(report.instances[0]?.logs[0]).toMatchObject({ signed: lines, unsigned: 1, problemCount: 0 })
  })

  it('a line that does not fit its place is a problem', async () => {
    const { dir, segments } = copy()
    appendFileSync(segments.at(-1)!, `${lineAt(await origin(dir), lines + 1)}\n`)
    expect((await problemsIn(dir)).problems[0]).toMatchObject({
      index: lines,
      fact: 'audit.index is 701, expected 700',
    })
  })
})

it('a folder that is being written to has no false problems', async () => {
  const dir = tempFolder()
  const log = await openLog({
    dir,
    instance: 'a',
    maxBytes: 400_000,
    segment: { maxBytes: 20_000 },
    checkpoint: { lines: 50 },
  })
  for (let round = 0; round < 40; round++) {
    await log.sink.durable('traffic', log.write('traffic', 97))
    const { ok, instances } = await verifyLog(dir)
    expect(instances.flatMap((one) => one.logs.flatMap((one) => one.problems))).toEqual([])
    expect(ok).toBe(true)
  }
  await log.close()
  const { ok, instances } = await verifyLog(dir)
  expect(ok).toBe(true)
  expect(instances[0]?.logs[0]?.pruned).toBeGreaterThan(0)
  expect(log.notices.map((notice) => notice.event)).toContain('audit.pruned')
})
