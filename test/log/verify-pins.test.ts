// What was seen from outside must still be there: a roster and kept checkpoints find what no folder tells of itself.
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'

const signer = newSigner('shop/a')
/** The log at 100, 300 and 600 lines. */
const stages: string[] = []
const notes: string[] = []
let log: HandLog

beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'auditlb-'))
  for (const name of ['security', 'control']) await (await HandLog.begin(join(dir, 'a'), name, signer)).sign()
  log = await HandLog.begin(join(dir, 'a'), 'traffic', signer)
  for (const count of [100, 200, 300]) {
    log.write(count)
    notes.push(await log.sign())
    log.newSegment()
    const stage = mkdtempSync(join(tmpdir(), 'auditlb-'))
    cpSync(dir, stage, { recursive: true })
    stages.push(stage)
  }
  stages.push(dir)
})
afterAll(() => {
  for (const stage of stages) rmSync(stage, { recursive: true })
})

function copy(stage = 2): string {
  const dir = tempFolder()
  cpSync(stages[stage]!, dir, { recursive: true })
  return dir
}

const rootIn = (note: string): string => note.split('\n')[2]!
const sizes = [100, 300, 600]
const rosterOf = (origins: Record<string, object>): string => JSON.stringify({ origins })
const entry = (at: number) => ({
  size: sizes[at],
  root: rootIn(notes[at]!),
  last_seen: '2026-01-01T00:00:00Z',
  state: 'open',
})

const factsOf = (report: Awaited<ReturnType<typeof verifyLog>>) => [
  ...report.instances.flatMap((one) => [...one.logs.flatMap((each) => each.problems), ...one.problems]),
  ...report.problems,
]

describe('a log', () => {
  it('holds against what was seen of it, now and before', async () => {
    for (const at of [0, 1, 2]) {
      const roster = rosterOf({ [log.origin]: { ...entry(at), vkey: signer.vkey, note: notes[at] } })
      const report = await verifyLog(copy(), { vkey: signer.vkey, roster })
      expect(report).toMatchObject({ ok: true, authenticated: true, elsewhere: [] })
      expect(report.instances[0]!.logs.map(({ pinned }) => pinned)).toEqual([sizes[at], undefined, undefined])
    }
    const report = await verifyLog(copy(), { checkpoints: notes.join('\n') })
    expect(report.ok).toBe(true)
    expect(report.instances[0]!.logs[0]!.pinned).toBe(600)
  })

  it('that was put back, as a whole or in its checkpoint only, is told', async () => {
    const halves = copy()
    writeFileSync(join(halves, 'a/traffic/checkpoint'), notes[1]!)
    for (const dir of [copy(1), halves]) {
      const file = join(dir, 'a/traffic/checkpoint')
      expect((await verifyLog(dir, { vkey: signer.vkey })).ok).toBe(true)
      const roster = await verifyLog(dir, { roster: rosterOf({ [log.origin]: entry(2) }) })
      const fact = 'it covers 300 lines, and the roster has seen 600: the log, or its checkpoint, was put back'
      expect(factsOf(roster)).toEqual([{ file, index: 300, fact }])
      const pinned = await verifyLog(dir, { checkpoints: notes.join('') })
      expect(factsOf(pinned)).toEqual([{ file, index: 300, fact: fact.replace('the roster', 'the given checkpoint') }])
    }
  })

  it('that was rewritten and signed with its own key is told', async () => {
    const dir = copy()
    rmSync(join(dir, 'a/traffic'), { recursive: true })
    const other = await HandLog.begin(join(dir, 'a'), 'traffic', signer)
    other.write(250)
    other.write(500, { text: 'other' })
    await other.sign()
    expect((await verifyLog(dir, { vkey: signer.vkey })).ok).toBe(true)
    const report = await verifyLog(dir, { checkpoints: notes.join('') })
    const fact = (size: number) =>
      `its first ${size} lines are not those that the given checkpoint has seen: the log was rewritten`
    expect(factsOf(report).map((one) => one.fact)).toEqual([fact(300), fact(600)])
    expect(report.instances[0]!.logs[0]!.pinned).toBe(100)
  })

  it('that was replaced by a fresh one is told; one of an instance that is not here is listed', async () => {
    const missing = log.origin.replace('0123', 'ffff')
    const away = 'shop/z/traffic/0'
    const report = await verifyLog(copy(), { roster: rosterOf({ [missing]: entry(0), [away]: entry(0) }) })
    expect(report).toMatchObject({ ok: false, elsewhere: [away] })
    expect(factsOf(report).map((one) => one.fact)).toEqual([
      `the roster has seen ${missing}, and there is no such log: it was replaced or lost`,
    ])
    const alone = await verifyLog(join(copy(), 'a'), { roster: rosterOf({ [missing]: entry(0) }) })
    expect(alone.ok).toBe(false)
  })

  it('that a kept checkpoint names must be here, of whatever instance it is', async () => {
    const away = notes[0]!.replace('shop/a/', 'shop/z/')
    const report = await verifyLog(copy(), { checkpoints: `${notes[1]}${away}` })
    expect(factsOf(report).map((one) => one.fact)).toEqual([
      `the given checkpoint has seen ${log.origin.replace('shop/a/', 'shop/z/')}, and there is no such log: it was replaced or lost`,
    ])
  })

  it('whose hash was altered is not blamed for its lines', async () => {
    const dir = copy()
    const tile = join(dir, 'a/traffic/tile/0/000')
    const bytes = readFileSync(tile)
    bytes[3]! ^= 1
    writeFileSync(tile, bytes)
    const report = await verifyLog(dir, { roster: rosterOf({ [log.origin]: entry(1) }) })
    expect(factsOf(report)).toEqual([
      { file: tile, index: 0, fact: 'the hash is not that of the line, which is the signed one' },
    ])
  })

  it('that was set aside is verified too, and what was seen of it is looked for there', async () => {
    const dir = copy()
    renameSync(join(dir, 'a/traffic'), join(dir, 'a/traffic.aside-01'))
    cpSync(join(dir, 'a/vkey'), join(dir, 'a/traffic.aside-01/vkey'))
    const fresh = await HandLog.begin(join(dir, 'a'), 'traffic', signer, 'ffff')
    await fresh.sign()
    const check = () => verifyLog(dir, { vkey: signer.vkey, roster: rosterOf({ [log.origin]: entry(2) }) })
    const file = join(dir, 'a/traffic.aside-01')
    const aside = { file, fact: 'set aside by its writer: it has left no reason; nothing in it is missing or altered' }
    const report = await check()
    expect(factsOf(report)).toEqual([aside])
    expect(report.instances[0]!.aside).toMatchObject([
      { name: 'traffic.aside-01', report: { signed: 600, pinned: 600, problemCount: 0 } },
    ])
    const path = join(file, 'segments/0000000000000100.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace('request.completed', 'request.forgotten'))
    expect((await check()).instances[0]!.aside[0]!.report.problems).toEqual([
      { file: path, line: 1, index: 100, fact: 'the line is not the one that was signed' },
    ])
  })
})

describe('what is given', () => {
  const good = () => ({ ...entry(0) })
  it.each([
    ['no JSON', '{'],
    ['no origins', '{}'],
    ['origins that are a list', '{"origins":[]}'],
    ['no size', rosterOf({ 'shop/a/traffic/0': { root: `${'A'.repeat(43)}=` } })],
    ['a size that is none', rosterOf({ 'shop/a/traffic/0': { size: -1, root: `${'A'.repeat(43)}=` } })],
    ['a root that is none', rosterOf({ 'shop/a/traffic/0': { size: 1, root: 'AA==' } })],
    ['a note that is none', rosterOf({ 'shop/a/traffic/0': { size: 1, root: `${'A'.repeat(43)}=`, note: 'x' } })],
  ])('as a roster is unusable with %s', async (_, roster) => {
    await expect(verifyLog(stages[2]!, { roster })).rejects.toMatchObject({ code: 'log-invalid' })
  })

  it('as a roster is unusable with a note of another size', async () => {
    const roster = rosterOf({ [log.origin]: { ...good(), note: notes[1] } })
    await expect(verifyLog(stages[2]!, { roster })).rejects.toThrow('the note of')
  })

  it.each(['', 'x', `${'x\n'.repeat(3)}\n— a AAAA\n`])('as checkpoints is unusable: %j', async (checkpoints) => {
    await expect(verifyLog(stages[2]!, { checkpoints })).rejects.toMatchObject({ code: 'log-invalid' })
  })
})

it('gaps are summed, by what was lost and by who did not get it', async () => {
  const dir = copy()
  rmSync(join(dir, 'a/control'), { recursive: true })
  const control = await HandLog.begin(join(dir, 'a'), 'control', signer)
  const gap = (count: number, sink?: string) =>
    control.write(1, {
      event_name: 'audit.gap',
      log: { count, reason: 'backlog', ...(sink === undefined ? {} : { sink }) },
    })
  gap(3)
  gap(4)
  gap(5, 'http')
  gap(6, '__proto__')
  await control.sign()
  gap(7, 'http')
  const { ok, instances } = await verifyLog(dir)
  expect(ok).toBe(true)
  const { gaps } = instances[0]!.logs.find((one) => one.log === 'control')!
  expect(gaps.lost).toBe(7)
  expect(Object.entries(gaps.bySink)).toEqual([
    ['http', 12],
    ['__proto__', 6],
  ])
})
