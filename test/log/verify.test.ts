// Whatever is changed in a folder is found, and the line is named.
import {
  appendFileSync,
  cpSync,
  mkdirSync,
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
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { LineReader } from '../../src/log/lines.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { maxLineBytes } from '../../src/sink.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'
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

// What a read returns ends wherever the file or its compressed form has it.
it.each([
  ['alone', 0, false],
  ['within what one read returns', 500, false],
  ['across two reads', 1900, false],
  ['in a compressed segment', 500, true],
])('a line that is longer than a line can be is where a log ends, %s', async (_, before, packed) => {
  const dir = tempFolder()
  const log = await HandLog.begin(join(dir, 'a'), 'traffic', newSigner('shop/a'))
  if (before > 0) log.write(before)
  log.writeRaw(lineAt(log.origin, before, { text: 'x'.repeat(maxLineBytes) }))
  log.write(2)
  await log.sign()
  if (packed) {
    writeFileSync(`${log.path}.gz`, gzipSync(readFileSync(log.path)))
    rmSync(log.path)
  }
  const { problems } = (await verifyLog(dir)).instances[0]!.logs[0]!
  expect(problems.map(({ index, fact }) => [index, fact])).toEqual([
    [before, 'the line is longer than a line can be'],
    [before, `lines ${before} to ${before + 2}, which the checkpoint covers, are missing`],
  ])
})

it('a line as long as a line can be is one', async () => {
  const dir = tempFolder()
  const log = await HandLog.begin(join(dir, 'a'), 'traffic', newSigner('shop/a'))
  for (let i = 0; i < 12; i++) {
    const fill = maxLineBytes - Buffer.byteLength(lineAt(log.origin, i, { text: '' }))
    log.writeRaw(lineAt(log.origin, i, { text: 'x'.repeat(fill) }))
  }
  await log.sign()
  expect((await verifyLog(dir)).instances[0]!.logs[0]).toMatchObject({ signed: 12, problems: [] })
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

  it('is told when it is the first segment, and no record of retention is there', async () => {
    const { dir, segments } = copy()
    rmSync(segments[0]!)
    const { report, problems } = await problemsIn(dir)
    expect(report.instances[0]!.logs[0]!.pruned).toBe(0)
    const fact = `lines 0 to ${Number(segments[1]!.slice(-22, -6)) - 1} are missing without a record of retention`
    expect(problems).toEqual([{ file: segments[1], index: 0, fact }])
  })

  it('is told when it is all that is signed', async () => {
    const { dir, segments, traffic } = copy()
    for (const path of segments) rmSync(path)
    const later = join(traffic, 'segments', '0000000000000900.jsonl')
    writeFileSync(later, '')
    const fact = 'it begins at line 900, and the checkpoint covers 700 only'
    expect((await problemsIn(dir)).problems).toContainEqual({ file: later, index: 0, fact })
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

describe('what retention deleted', () => {
  const limits = { instance: 'a', maxBytes: 60_000, segment: { maxBytes: 10_000 } }

  async function pruned(): Promise<{ dir: string; segments: string[]; first: number }> {
    const dir = tempFolder()
    const log = await openLog({ dir, ...limits })
    for (let round = 0; round < 20; round++) await log.sink.durable('traffic', log.write('traffic', 50))
    await log.close()
    const folder = join(dir, 'a/traffic/segments')
    const names = readdirSync(folder).sort()
    return { dir, segments: names.map((name) => join(folder, name)), first: Number(names[0]!.slice(0, 16)) }
  }

  it('is told by a signed line, and holds', async () => {
    const { dir, first } = await pruned()
    const report = await verifyLog(dir)
    expect(report.ok).toBe(true)
    expect(report.instances[0]!.logs[0]!.pruned).toBe(first)
    expect(first).toBeGreaterThan(0)
  })

  it('is not what somebody else deleted behind it', async () => {
    const { dir, segments, first } = await pruned()
    rmSync(segments[0]!)
    const next = Number(segments[1]!.slice(-22, -6))
    const fact = `lines ${first} to ${next - 1} are missing without a record of retention`
    expect((await verifyLog(dir)).instances[0]!.logs[0]).toMatchObject({
      pruned: first,
      problems: [{ file: segments[1], index: 0, fact }],
    })
  })

  it('is not told by a line that is not signed', async () => {
    const { dir, segments } = copy()
    rmSync(segments[0]!)
    const { origin } = (await verifyLog(dir)).instances[0]!.logs[0]!
    const forged = { event_name: 'audit.pruned', log: { first: 0, last: 699, bytes: 1 } }
    appendFileSync(segments.at(-1)!, `${lineAt(origin!, lines, forged)}\n`)
    expect((await problemsIn(dir)).problems).toHaveLength(1)
  })
})

it('a writer that deletes all the time has no false problems, whenever verify looks', async () => {
  const dir = tempFolder()
  const log = await openLog({
    dir,
    instance: 'a',
    maxBytes: 30_000,
    segment: { maxBytes: 4_000 },
    checkpoint: { lines: 20 },
  })
  let done = false
  const writing = (async () => {
    while (!done) await log.sink.durable('traffic', log.write('traffic', 30))
  })()
  let seen = 0
  try {
    // Until it has deleted something, however slow the machine is.
    for (let round = 0; round < 60 || seen === 0; round++) {
      const { ok, instances } = await verifyLog(dir)
      expect(instances.flatMap((one) => one.logs.flatMap((one) => one.problems))).toEqual([])
      expect(ok).toBe(true)
      seen = Math.max(seen, instances[0]!.logs[0]!.pruned)
    }
  } finally {
    done = true
    await writing
    await log.close()
  }
  expect(seen).toBeGreaterThan(0)
  expect((await verifyLog(dir)).ok).toBe(true)
})

it('a segment that vanishes under the eyes of verify is skipped at the front, and missing in the middle', async () => {
  const { dir, segments } = copy()
  const openReader = LineReader.open
  const vanish = (which: number, when: number) =>
    vi.spyOn(LineReader, 'open').mockImplementation((path) => {
      if (path === segments[when]) for (let i = which; i <= when; i++) rmSync(segments[i]!, { force: true })
      return openReader(path)
    })
  const middle = vanish(1, 1)
  expect((await problemsIn(dir)).problems[0]?.fact).toContain('are missing before it')
  middle.mockRestore()
  const again = copy()
  const front = vi.spyOn(LineReader, 'open').mockImplementation((path) => {
    if (path === again.segments[0]) for (const one of again.segments.slice(0, 2)) rmSync(one, { force: true })
    return openReader(path)
  })
  const { report } = await problemsIn(again.dir)
  front.mockRestore()
  expect(report.ok).toBe(true)
  expect(report.instances[0]!.logs[0]!.pruned).toBe(Number(again.segments[2]!.slice(-22, -6)))
  // Once nobody is at work, there must be a record.
  expect((await verifyLog(again.dir)).ok).toBe(false)
})

describe('instances', () => {
  let parent: string
  let keys: string
  beforeAll(async () => {
    parent = mkdtempSync(join(tmpdir(), 'auditlb-'))
    for (const instance of ['h.0', 'h.1']) {
      const log = await openLog({ dir: parent, instance })
      log.write('traffic', 5)
      await log.close()
    }
    keys = ['h.0', 'h.1'].map((name) => readFileSync(join(parent, name, 'vkey'), 'utf8')).join('')
  })
  afterAll(() => rmSync(parent, { recursive: true }))

  function copyAll(): string {
    const dir = tempFolder()
    cpSync(parent, dir, { recursive: true })
    return dir
  }
  const replace = (dir: string, to: string, from: string) => {
    rmSync(join(dir, to), { recursive: true })
    cpSync(join(dir, from), join(dir, to), { recursive: true })
  }

  it('hold under the keys of all', async () => {
    expect(await verifyLog(parent, { vkey: keys })).toMatchObject({ ok: true, authenticated: true, problems: [] })
  })

  it('that take the place of another are told', async () => {
    const dir = copyAll()
    replace(dir, 'h.0', 'h.1')
    const { ok, instances, problems } = await verifyLog(dir, { vkey: keys })
    expect(ok).toBe(false)
    expect(instances[0]!.logs[0]!.problems[0]?.fact).toBe('the checkpoint is one of shop/h.1, in the folder of h.0')
    expect(problems[0]?.fact).toMatch(/^the given key shop\/h\.0\+[0-9a-f]{8} has signed nothing in it$/)
  })

  it('with a log of another are told, also when they are looked at by themselves', async () => {
    const dir = copyAll()
    replace(dir, 'h.0/security', 'h.1/security')
    const all = await verifyLog(dir, { vkey: keys })
    expect(all.instances[0]!.logs[1]!.problems[0]?.fact).toContain('one of shop/h.1')
    const one = await verifyLog(join(dir, 'h.0'), { vkey: keys })
    expect(one.ok).toBe(false)
    expect(one.instances[0]!.problems[0]?.fact).toBe('its logs are of different writers: shop/h.0, shop/h.1')
  })

  it('that lie in the root hide no others', async () => {
    const dir = copyAll()
    cpSync(join(dir, 'h.1'), dir, { recursive: true })
    const { ok, instances, problems } = await verifyLog(dir, { vkey: keys })
    expect(ok).toBe(false)
    expect(instances).toHaveLength(3)
    expect(problems[0]?.fact).toContain('holds folders of others')
  })

  it('whose key is given and that are not there are told', async () => {
    const { ok, problems } = await verifyLog(join(parent, 'h.0'), { vkey: keys })
    expect(ok).toBe(false)
    expect(problems[0]?.fact).toContain('shop/h.1')
  })
})

it.each(['traffic/checkpoint', 'traffic/segments', 'traffic/segments/0000000000000000.jsonl', 'traffic/tile'])(
  'a %s that cannot be read is a problem and not an error',
  async (name) => {
    const { dir } = copy()
    const path = join(dir, 'a', name)
    rmSync(path, { recursive: true })
    // A file where a folder belongs, and a folder where a file does.
    if (['segments', 'tile'].some((one) => name.endsWith(one))) writeFileSync(path, '')
    else mkdirSync(path)
    const { problems } = await problemsIn(dir)
    expect(problems.map((one) => one.fact).join()).toMatch(/it cannot be read: (EISDIR|ENOTDIR)/)
  },
)
