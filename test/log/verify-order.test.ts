// A line that is missing or was inserted is told once, and not by each that follows it.
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { seededRandom } from '../../src/random.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'
import { lineAt } from '../support/log.ts'

const signer = newSigner('shop/a')
const firsts = [0, 200, 400]
const signed = 600
let template: string
let traffic: HandLog

beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), 'auditlb-'))
  for (const name of ['security', 'control']) await (await HandLog.begin(join(template, 'a'), name, signer)).sign()
  traffic = await HandLog.begin(join(template, 'a'), 'traffic', signer)
  for (const first of firsts) {
    if (first > 0) traffic.newSegment()
    traffic.write(200)
  }
  await traffic.sign()
})
afterAll(() => rmSync(template, { recursive: true }))

function copy() {
  const dir = tempFolder()
  cpSync(template, dir, { recursive: true })
  const log = join(dir, 'a/traffic')
  const segments = firsts.map((first) => join(log, `segments/${String(first).padStart(16, '0')}.jsonl`))
  return { dir, log, segments }
}
type Copy = ReturnType<typeof copy>

const forged = (index: number) => lineAt(traffic.origin, index, { text: 'forged' })

/** Changes the lines of a segment. */
function edit({ segments }: Copy, which: number, change: (lines: string[]) => string[]): void {
  const lines = readFileSync(segments[which]!, 'utf8').split('\n').slice(0, -1)
  writeFileSync(
    segments[which]!,
    change(lines)
      .map((line) => `${line}\n`)
      .join(''),
  )
}

async function trafficIn({ dir }: Copy) {
  const report = await verifyLog(dir, { vkey: signer.vkey })
  expect(report.ok).toBe(report.instances[0]!.logs[0]!.problemCount === 0)
  return report.instances[0]!.logs[0]!
}

/** What is found once this was done to the lines of a segment, with the file by its number. */
async function found(which: number, change: (lines: string[]) => string[]) {
  const one = copy()
  edit(one, which, change)
  const { problems, problemCount } = await trafficIn(one)
  expect(problems).toHaveLength(problemCount)
  return problems.map(({ file, ...rest }) => ({ file: one.segments.indexOf(file), ...rest }))
}

const missing = (file: number, index: number) => ({ file, index, fact: 'the line is missing' })
const notSigned = (file: number, line: number, index: number) => ({
  file,
  line,
  index,
  fact: 'the line is not the one that was signed',
})

describe('a line that is missing', () => {
  it.each([
    ['in the middle', 1, 50],
    ['at the front of a segment', 1, 0],
    ['at the front of the log', 0, 0],
    ['before the last of a segment', 1, 198],
    ['in the last segment', 2, 77],
    ['before the last of the log', 2, 198],
  ])('%s is told once', async (_, which, at) => {
    expect(await found(which, (lines) => lines.toSpliced(at, 1))).toEqual([missing(which, firsts[which]! + at)])
  })

  it('and others with it, or elsewhere, are told by range', async () => {
    const fact = 'lines 210 to 214 are missing'
    const lost = await found(1, (lines) => lines.toSpliced(90, 1).toSpliced(10, 5))
    expect(lost).toEqual([{ file: 1, index: 210, fact }, missing(1, 290)])
  })

  it('at the end of a segment is told by the next', async () => {
    const one = await found(1, (lines) => lines.slice(0, -1))
    expect(one).toEqual([{ file: 2, index: 399, fact: 'lines 399 to 399 are missing before it' }])
  })

  it('in a compressed segment is told once', async () => {
    const one = copy()
    edit(one, 1, (lines) => lines.toSpliced(60, 1))
    const file = `${one.segments[1]}.gz`
    writeFileSync(file, gzipSync(readFileSync(one.segments[1]!)))
    rmSync(one.segments[1]!)
    expect((await trafficIn(one)).problems).toEqual([{ ...missing(1, 260), file }])
  })

  it('before others that are altered hides none of them, nor does one behind', async () => {
    const both = (at: number, changed: number) => (lines: string[]) =>
      lines.with(changed, forged(200 + changed)).toSpliced(at, 1)
    expect(await found(1, both(30, 31))).toEqual([notSigned(1, 31, 230), missing(1, 231)])
    expect(await found(1, both(30, 40))).toEqual([missing(1, 230), notSigned(1, 40, 240)])
    expect(await found(1, both(30, 20))).toEqual([notSigned(1, 21, 220), missing(1, 230)])
  })

  it('leaves what is not yet signed as it is', async () => {
    const one = copy()
    appendFileSync(one.segments[2]!, [0, 1, 2].map((i) => `${lineAt(traffic.origin, signed + i)}\n`).join(''))
    edit(one, 2, (lines) => lines.toSpliced(199, 1))
    expect(await trafficIn(one)).toMatchObject({
      unsigned: 3,
      problems: [missing(2, 599)].map(({ index, fact }) => ({ index, fact })),
    })
    edit(one, 2, (lines) => lines.toSpliced(198, 1))
    expect(await trafficIn(one)).toMatchObject({
      unsigned: 3,
      problemCount: 1,
      problems: [{ index: 598, fact: 'lines 598 to 599 are missing' }],
    })
  })
})

describe('a line that is one too many', () => {
  it.each([
    ['in the middle', 1, 50],
    ['at the front of a segment', 1, 0],
    ['before the last of the log', 2, 199],
  ])('%s is told once', async (_, which, at) => {
    const index = firsts[which]! + at
    expect(await found(which, (lines) => lines.toSpliced(at, 0, forged(index)))).toEqual([
      { file: which, line: at + 1, index, fact: `a line was inserted before line ${index}` },
    ])
  })

  it.each([
    ['stands twice', 1, 50, 50],
    ['stands again further on', 1, 50, 120],
    ['stands again at the end of a segment', 1, 199, 199],
    ['is one of another segment', 1, -150, 60],
  ])('and %s is told as such', async (_, which, from, behind) => {
    const again = traffic.lines[200 + from]!
    expect(await found(which, (lines) => lines.toSpliced(behind + 1, 0, again))).toEqual([
      { file: which, line: behind + 2, index: 201 + behind, fact: `line ${200 + from} stands twice` },
    ])
  })

  it('and comes with others is told with them', async () => {
    expect(await found(1, (lines) => lines.toSpliced(20, 0, ...lines.slice(5, 15)))).toEqual([
      { file: 1, line: 21, index: 220, fact: '10 lines were inserted before line 220' },
    ])
  })
})

describe('lines in another order', () => {
  it('that changed places are told each', async () => {
    const swap = (one: number, two: number) => (lines: string[]) => lines.with(one, lines[two]!).with(two, lines[one]!)
    for (const [one, two] of [
      [0, 1],
      [10, 90],
      [198, 199],
      [100, 199],
    ] as const)
      for (const which of [1, 2])
        expect(await found(which, swap(one, two))).toEqual(
          [one, two].map((at) => notSigned(which, at + 1, firsts[which]! + at)),
        )
  })

  it('that moved are told where they are missing, and where they stand', async () => {
    const back = await found(1, (lines) => lines.toSpliced(51, 0, lines[5]!).toSpliced(5, 1))
    expect(back).toEqual([
      missing(1, 205),
      { file: 1, line: 51, index: 251, fact: 'line 205 stands here, before line 251' },
    ])
    const ahead = await found(1, (lines) => lines.toSpliced(50, 1).toSpliced(5, 0, lines[50]!))
    expect(ahead).toEqual([
      { file: 1, line: 6, index: 205, fact: 'line 250 stands here, before line 205' },
      missing(1, 250),
    ])
  })
})

describe('what is not clear is told line by line', () => {
  it('where more was inserted than is kept', async () => {
    const one = copy()
    edit(one, 1, (lines) => lines.toSpliced(20, 0, ...Array.from({ length: 70 }, () => forged(220))))
    const { problems, problemCount } = await trafficIn(one)
    expect(problemCount).toBeGreaterThan(180)
    expect(problems[0]).toEqual({ ...notSigned(1, 21, 220), file: one.segments[1] })
  })

  it('where lines say that they are behind what is signed', async () => {
    const one = copy()
    edit(one, 2, (lines) => lines.toSpliced(20, 0, forged(signed), forged(signed + 1)))
    const { problems, problemCount } = await trafficIn(one)
    expect([problemCount, problems[0]]).toEqual([
      1,
      { file: one.segments[2], line: 21, index: 420, fact: '2 lines were inserted before line 420' },
    ])
  })

  it('where the hash was taken out together with the line', async () => {
    const one = copy()
    edit(one, 0, (lines) => lines.toSpliced(150, 1))
    const tile = join(one.log, 'tile/0/000')
    const hashes = readFileSync(tile)
    writeFileSync(tile, Buffer.concat([hashes.subarray(0, 150 * 32), hashes.subarray(151 * 32), hashes.subarray(-32)]))
    const facts = (await trafficIn(one)).problems.map(({ fact }) => fact)
    expect(facts).toContain('audit.index is 151, expected 150')
    expect(facts).not.toContain('the line is missing')
  })
})

it('whatever is done to lines in several places, it does not hold', async () => {
  const one = copy()
  const random = seededRandom(3)
  const below = (bound: number) => random.uint32() % bound
  const kept = one.segments.map((path) => readFileSync(path))
  for (let run = 0; run < 150; run++) {
    const which = below(3)
    const before = readFileSync(one.segments[which]!, 'utf8')
    edit(one, which, (lines) => {
      let changed = lines
      for (let n = 1 + below(3); n > 0; n--) {
        const at = below(changed.length)
        const other = changed[below(changed.length)]!
        changed = [
          () => changed.toSpliced(at, 1 + below(3)),
          () => changed.toSpliced(at, 0, other),
          () => changed.toSpliced(at, 0, forged(firsts[which]! + at)),
          () => changed.with(at, other),
          () => changed.with(at, forged(firsts[which]! + at)),
        ][below(5)]!()
      }
      return changed
    })
    if (readFileSync(one.segments[which]!, 'utf8') !== before)
      expect([run, (await trafficIn(one)).problemCount > 0]).toEqual([run, true])
    writeFileSync(one.segments[which]!, kept[which]!)
  }
})
