// Whatever is done to a folder, the report names it: random tamperings of every kind, each undone before the next.
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LogProblem } from '../../../src/log/log-report.ts'
import { signNote } from '../../../src/log/note.ts'
import { verifyLog } from '../../../src/log/verify.ts'
import { type Random, seededRandom } from '../../../src/random.ts'
import { HandLog, newSigner } from '../../support/hand-log.ts'
import { lineAt } from '../../support/log.ts'
import { scaled } from '../../support/scale.ts'

const runs = scaled(10_000, 200)
const [first, second, stranger] = ['a', 'b', 'c'].map(() => newSigner('shop/a'))
const vkey = first!.vkey
/** What stands in no checkpoint: a change of it proves nothing and hides nothing. */
const uncovered = [
  'lock',
  'key',
  'vkey',
  'cursors/http',
  'holds.json',
  'traffic/segments/0000000000000000.jsonl.torn-0',
]

let dir: string
let earlier: string
let roster: string
let traffic: HandLog
const olderNotes: string[] = []

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'auditlb-'))
  earlier = mkdtempSync(join(tmpdir(), 'auditlb-'))
  const instance = join(dir, 'a')
  const small: HandLog[] = []
  for (const name of ['security', 'control']) {
    const log = await HandLog.begin(instance, name, first!)
    log.write(12)
    await log.rotate(second!)
    log.write(5)
    await log.sign()
    small.push(log)
  }
  traffic = await HandLog.begin(instance, 'traffic', first!)
  for (let segment = 0; segment < 5; segment++) {
    if (segment > 0) traffic.newSegment()
    traffic.write(140, { text: 'Grüße' })
    olderNotes.push(await traffic.sign())
    if (segment === 2) {
      await traffic.rotate(second!)
      cpSync(dir, earlier, { recursive: true })
    }
  }
  olderNotes.pop()
  const plain = segmentsOf(covered())[1]!
  writeFileSync(`${plain}.gz`, gzipSync(readFileSync(plain)))
  rmSync(plain)
  for (const name of uncovered) {
    mkdirSync(join(instance, name, '..'), { recursive: true })
    if (name !== 'vkey') writeFileSync(join(instance, name), 'of no account')
  }
  const origins: Record<string, object> = {}
  for (const log of [traffic, ...small]) {
    const [, size, root] = readFileSync(join(log.dir, 'checkpoint'), 'utf8').split('\n')
    origins[log.origin] = { size: Number(size), root }
  }
  roster = JSON.stringify({ origins })
})
afterAll(() => {
  for (const one of [dir, earlier]) rmSync(one, { recursive: true })
})

const verified = () => verifyLog(dir, { vkey, roster })

async function problems(): Promise<LogProblem[]> {
  const { ok, authenticated, instances, problems } = await verified()
  const all = [
    ...instances.flatMap((one) => [...one.logs.flatMap((log) => log.problems), ...one.problems]),
    ...problems,
  ]
  expect([ok, authenticated, all.length > 0]).toEqual([false, false, true])
  return all
}

/** All that a checkpoint covers, and the checkpoints. */
function covered(): string[] {
  return readdirSync(join(dir, 'a'), { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, 'a', name)).isFile() && !uncovered.includes(name))
    .map((name) => join(dir, 'a', name))
    .sort()
}

const below = (random: Random, bound: number): number => random.uint32() % bound
/** Those that are not compressed. */
const segmentsOf = (files: readonly string[]) =>
  files.filter((path) => path.includes('/traffic/segments/') && path.endsWith('.jsonl'))
const lineOf = (bytes: Buffer, at: number): number => bytes.subarray(0, at).filter((byte) => byte === 0x0a).length + 1
const firstOf = (path: string): number => Number(/(\d{16})\.jsonl/.exec(path)![1])

/** Does something to files, and says what a problem must name. The files are put back by the caller. */
type Tampering = (random: Random, files: readonly string[]) => { touched: string[]; named: Partial<LogProblem>[] }

/** Rewrites the lines of a segment. */
function edit(path: string, change: (lines: string[]) => void): void {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  change(lines)
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
}

function anyLine(random: Random, files: readonly string[]) {
  const segments = segmentsOf(files)
  const path = segments[below(random, segments.length)]!
  const count = readFileSync(path, 'utf8').split('\n').length - 1
  const at = below(random, count)
  return { path, at, index: firstOf(path) + at, count }
}

const kinds: Record<string, Tampering> = {
  'a byte is changed'(random, files) {
    const path = files[below(random, files.length)]!
    const bytes = readFileSync(path)
    // The head of a gzip file tells time, system and name of what is in it (RFC 1952 section 2.3.1): that is of no account.
    const head = path.endsWith('.gz') ? 10 : 0
    const at = head + below(random, bytes.length - head)
    const line = lineOf(bytes, at)
    bytes[at]! ^= 1 + below(random, 255)
    writeFileSync(path, bytes)
    return { touched: [path], named: [path.endsWith('.jsonl') ? { file: path, line } : { file: path }] }
  },
  'a file is cut'(random, files) {
    const path = files[below(random, files.length)]!
    const bytes = readFileSync(path)
    const at = below(random, bytes.length)
    writeFileSync(path, bytes.subarray(0, at))
    if (path.endsWith('.gz')) return { touched: [path], named: [{ file: path }, { index: firstOf(path) }] }
    if (!path.endsWith('.jsonl')) return { touched: [path], named: [{ file: path }] }
    return { touched: [path], named: [{ index: firstOf(path) + lineOf(bytes, at) - 1 }] }
  },
  'a file is deleted'(random, files) {
    const path = files[below(random, files.length)]!
    rmSync(path)
    if (path.includes('/keys/'))
      return { touched: [path], named: [{ file: join(path, '..') }, { file: join(path, '../../checkpoint') }] }
    return { touched: [path], named: [path.includes('.jsonl') ? { index: firstOf(path) } : { file: path }] }
  },
  'a line is deleted'(random, files) {
    const { path, at, index } = anyLine(random, files)
    edit(path, (lines) => lines.splice(at, 1))
    return { touched: [path], named: [{ index }] }
  },
  'a line is doubled'(random, files) {
    const { path, at, index } = anyLine(random, files)
    edit(path, (lines) => lines.splice(at, 0, lines[at]!))
    return { touched: [path], named: [{ index: index + 1 }] }
  },
  'a line is inserted'(random, files) {
    const { path, at, index } = anyLine(random, files)
    edit(path, (lines) => lines.splice(at, 0, lineAt(traffic.origin, index, { text: 'forged' })))
    return { touched: [path], named: [{ file: path, line: at + 1, index }] }
  },
  'two lines change places'(random, files) {
    const { path, at, index, count } = anyLine(random, files)
    const other = (at + 1 + below(random, count - 1)) % count
    edit(path, (lines) => {
      const [one, two] = [lines[at]!, lines[other]!]
      lines[at] = two
      lines[other] = one
    })
    return {
      touched: [path],
      named: [{ file: path, line: Math.min(at, other) + 1, index: index - at + Math.min(at, other) }],
    }
  },
  'two files change places'(random, files) {
    // Tiles that stand beside each other, or segments: what is of one kind has one form.
    const alike = random.uint32() % 2 === 0 ? segmentsOf(files) : files.filter((path) => path.endsWith('/checkpoint'))
    const from = below(random, alike.length)
    const [one, two] = [alike[from]!, alike[(from + 1) % alike.length]!]
    const bytes = readFileSync(one)
    cpSync(two, one)
    writeFileSync(two, bytes)
    return { touched: [one, two], named: [{ file: one }, { file: two }] }
  },
  'an older checkpoint is put in place'(random) {
    const path = join(traffic.dir, 'checkpoint')
    writeFileSync(path, olderNotes[below(random, olderNotes.length)]!)
    return { touched: [path], named: [{ file: path, fact: 'the log, or its checkpoint, was put back' }] }
  },
  'a checkpoint is signed anew by somebody else'(random, files) {
    const path = files.filter((one) => one.endsWith('/checkpoint'))[below(random, 3)]!
    const note = readFileSync(path, 'utf8')
    const body = note.slice(0, note.indexOf('\n\n') + 1)
    writeFileSync(path, signNote(body, stranger!))
    return { touched: [path], named: [{ file: path, fact: 'it is not signed by a known key' }] }
  },
}

it('the folder holds as it is', async () => {
  const report = await verified()
  expect(report).toMatchObject({ ok: true, authenticated: true })
  expect(report.instances[0]!.logs.map(({ signed, pinned }) => [signed, pinned])).toEqual([
    [701, 701],
    [18, 18],
    [18, 18],
  ])
})

const each = Math.ceil(runs / Object.keys(kinds).length)

it.each(Object.entries(kinds))(`%s: of ${each}, each is found and named`, async (kind, tamper) => {
  const random = seededRandom(kind.length)
  const files = covered()
  const kept = new Map(files.map((path) => [path, readFileSync(path)]))
  for (let run = 0; run < each; run++) {
    const { touched, named } = tamper(random, files)
    try {
      const found = await problems()
      const fits = (one: LogProblem): boolean =>
        named.some((wanted) =>
          Object.entries(wanted).every(([key, value]) =>
            key === 'fact' ? one.fact.includes(String(value)) : one[key as keyof LogProblem] === value,
          ),
        )
      if (!found.some(fits)) expect({ run, touched, found: found.slice(0, 5) }).toEqual(named)
    } finally {
      for (const path of touched) writeFileSync(path, kept.get(path)!)
    }
  }
  expect((await verified()).ok).toBe(true)
})

it('a folder that is put back as a whole is found by the roster', async () => {
  const report = await verifyLog(earlier, { vkey, roster })
  expect(report.instances[0]!.logs[0]!.problems.map(({ fact }) => fact)).toEqual([
    'it covers 421 lines, and the roster has seen 701: the log, or its checkpoint, was put back',
  ])
  expect((await verifyLog(earlier, { vkey })).ok).toBe(true)
})

it('what no checkpoint covers may change: these, and lines behind the checkpoint', async () => {
  const random = seededRandom(5)
  for (const name of uncovered) {
    const path = join(dir, 'a', name)
    const bytes = readFileSync(path)
    for (let run = 0; run < 10; run++) {
      const other = Buffer.from(bytes)
      other[below(random, bytes.length)]! ^= 1 + below(random, 255)
      writeFileSync(path, other)
      expect([name, (await verified()).ok]).toEqual([name, true])
    }
    writeFileSync(path, bytes)
  }
  const line = lineAt(traffic.origin, traffic.lines.length, { text: 'not yet signed' })
  const whole = readFileSync(traffic.path)
  for (const tail of [`${line}\n`, `${line.replace('not yet', 'never')}\n`, line.slice(0, 50)]) {
    appendFileSync(traffic.path, tail)
    expect((await verified()).ok).toBe(true)
    writeFileSync(traffic.path, whole)
  }
})
