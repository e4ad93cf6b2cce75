// The verbs that verify: what they print, and how they end.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { auditlb, auditlbOf } from '../support/cli.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'
import { StreamSource } from '../support/stream.ts'

const signer = newSigner('shop/a')

/** A folder with one instance of three logs, and a place for files beside it. */
async function folder() {
  const dir = tempFolder()
  const file = (name: string, text: string): string => {
    const path = join(dir, name)
    writeFileSync(path, text)
    return path
  }
  const audit = join(dir, 'audit')
  const logs: HandLog[] = []
  for (const name of ['traffic', 'security', 'control']) {
    const log = await HandLog.begin(join(audit, 'a'), name, signer)
    log.write(20, { url: { path: '/x' } })
    await log.sign()
    logs.push(log)
  }
  return { audit, file, traffic: logs[0]!, control: logs[2]!, vkey: file('vkey', signer.vkey) }
}

describe('verify', () => {
  it('tells what was seen from outside, what is not here, and what the log tells as lost', async () => {
    const { audit, file, traffic, control } = await folder()
    control.write(1, { event_name: 'audit.gap', log: { count: 4, reason: 'backlog' } })
    control.write(1, { event_name: 'audit.gap', log: { count: 5, reason: 'backlog', sink: 'http' } })
    await control.sign()
    const [, size, root] = readFileSync(join(traffic.dir, 'checkpoint'), 'utf8').split('\n')
    const seen = { size: Number(size), root }
    const roster = file('roster', JSON.stringify({ origins: { [traffic.origin]: seen, 'shop/z/traffic/1': seen } }))
    const { code, out } = await auditlb('verify', audit, '--roster', roster)
    expect(code).toBe(0)
    expect(out).toContain('a/traffic: 20 signed, 20 seen from outside, root ')
    expect(out).toContain('a/control: 22 signed, 4 events told as lost, 5 lines told as not delivered to http, root ')
    expect(out).toContain('shop/z/traffic/1: not here\n')
  })

  it('tells files that nobody reads, and what the roster says of a log, as no problem', async () => {
    const { audit, file, traffic } = await folder()
    const place = join(traffic.dir, 'segments')
    const others = ['0000000000000000.jsonl.gz', '0000000000000000.jsonl.torn-0', '20.jsonl']
    for (const name of others) writeFileSync(join(place, name), 'of whatever')
    const [, size, root] = readFileSync(join(traffic.dir, 'checkpoint'), 'utf8').split('\n')
    const seen = { size: Number(size), root, state: 'shrunk', fault: 'line 4 was another' }
    const roster = file('roster', JSON.stringify({ origins: { [traffic.origin]: seen } }))
    const { code, out } = await auditlb('verify', audit, '--roster', roster)
    expect(code).toBe(0)
    expect(out.split('\n').filter((line) => line.includes('no problem'))).toEqual([
      `  no problem: ${traffic.dir}: the roster calls it shrunk: line 4 was another`,
      ...others.map((name) => `  no problem: ${join(place, name)}: of no account: nobody reads it`),
    ])
  })

  it('says so where nothing of a log is signed', async () => {
    const { audit, traffic } = await folder()
    const text = readFileSync(join(traffic.dir, 'segments/0000000000000000.jsonl'))
    rmSync(traffic.dir, { recursive: true })
    const fresh = await HandLog.begin(join(audit, 'a'), 'traffic', signer)
    await fresh.sign()
    writeFileSync(fresh.path, text)
    const { code, out } = await auditlb('verify', audit)
    expect(code).toBe(0)
    expect(out).toContain('a/traffic: nothing of this log is signed: 20 lines without a checkpoint, root ')
  })

  it('ends with 1 where a checkpoint that was kept covers more', async () => {
    const { audit, file, traffic } = await folder()
    const before = readFileSync(join(traffic.dir, 'checkpoint'))
    traffic.write(5)
    const kept = file('kept', await traffic.sign())
    writeFileSync(join(traffic.dir, 'checkpoint'), before)
    expect((await auditlb('verify', audit)).code).toBe(0)
    const { code, out } = await auditlb('verify', audit, '--checkpoint', kept)
    expect(code).toBe(1)
    expect(out).toContain('line 20: it covers 20 lines, and the given checkpoint has seen 25')
    expect(out).toMatch(/does not hold\n$/)
  })

  it('of an emptied folder ends with 1 where something tells what must be there, and with 2 otherwise', async () => {
    const { audit, file, traffic, vkey } = await folder()
    const note = readFileSync(join(traffic.dir, 'checkpoint'), 'utf8')
    const [, size, root] = note.split('\n')
    const roster = file('roster', JSON.stringify({ origins: { [traffic.origin]: { size: Number(size), root } } }))
    const nothing = file('nothing', JSON.stringify({ origins: {} }))
    rmSync(join(audit, 'a'), { recursive: true })
    expect(await auditlb('verify', audit)).toMatchObject({
      code: 2,
      err: expect.stringContaining('holds no audit log'),
    })
    expect((await auditlb('verify', audit, '--roster', nothing)).code).toBe(2)
    const lost = `has seen ${traffic.origin}, and there is no such log: it was replaced or lost\ndoes not hold\n`
    for (const [option, path, fact] of [
      ['--vkey', vkey, 'has signed nothing in it\ndoes not hold\n'],
      ['--roster', roster, lost],
      ['--checkpoint', file('kept', note), lost],
    ] as const) {
      expect(await auditlb('verify', audit, option, path)).toMatchObject({
        code: 1,
        out: expect.stringContaining(fact),
      })
    }
    // One that is wrong, or no folder, is no folder whose logs are gone.
    expect((await auditlb('verify', join(audit, 'none'), '--vkey', vkey)).code).toBe(2)
  })

  it('follows a kept key to the one that replaced it', async () => {
    const { audit, traffic, vkey } = await folder()
    const next = newSigner('shop/a')
    await traffic.rotate(next)
    // The others are not handed over yet, and the key beside the logs is the next one.
    expect(await auditlb('verify', audit, '--vkey', vkey)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/a\/traffic: 21 signed.*\nholds, authenticated by the given key\n$/s),
    })
    expect((await auditlb('verify', audit)).code).toBe(0)
  })
})

describe('verify -', () => {
  it('tells of each log how far it holds', async () => {
    const of = new StreamSource('shop/a/traffic/1', signer)
    const { vkey } = await folder()
    const lines = [...of.lines(10), 'hello', of.checkpoint(), ...of.lines(2)]
    expect(await auditlbOf(lines.join('\n'), 'verify', '-', '--vkey', vkey)).toEqual({
      code: 0,
      err: '',
      out: `shop/a/traffic/1: lines 0 to 11, 10 checked, signed up to 10 lines, 2 at the end that no checkpoint covers
1 lines of others passed over
holds, authenticated by the given key
`,
    })
    const middle = await auditlbOf([...lines.slice(5), of.checkpoint()].join('\n'), 'verify', '-')
    expect(middle).toMatchObject({
      code: 0,
      out: `shop/a/traffic/1: lines 5 to 11, 2 checked, signed up to 12 lines, checked from line 10 on, 5 that nothing here can be held against, 0 at the end that no checkpoint covers
1 lines of others passed over
holds, self-consistent, not authenticated
`,
    })
    expect(await auditlbOf(lines.toSpliced(3, 1).join('\n'), 'verify', '-')).toMatchObject({
      code: 1,
      out: expect.stringContaining('  line 3: the line is missing\n'),
    })
  })

  it('tells of which logs nothing is checked, and is not authenticated then', async () => {
    const [traffic, control, security] = ['traffic', 'control', 'security'].map(
      (log) => new StreamSource(`shop/a/${log}/1`, signer),
    ) as [StreamSource, StreamSource, StreamSource]
    const { vkey } = await folder()
    security.lines(3)
    const lines = [...control.lines(2), control.checkpoint(), ...traffic.lines(5), security.checkpoint()]
    expect(await auditlbOf(lines.join('\n'), 'verify', '-', '--vkey', vkey)).toEqual({
      code: 0,
      err: '',
      out: `shop/a/control/1: lines 0 to 1, 2 checked, signed up to 2 lines, 0 at the end that no checkpoint covers
shop/a/traffic/1: lines 0 to 4, 0 checked, 5 at the end that no checkpoint covers, nothing of this log is checked
shop/a/security/1: no lines here; a checkpoint of 3 lines and nothing to hold it against
holds, self-consistent, not authenticated: nothing is checked of 1 of 3 logs
`,
    })
  })

  it('ends with 1 where checkpoints were taken out, and one was kept or a witness has seen more', async () => {
    const of = new StreamSource('shop/a/traffic/1', signer)
    const { file, vkey } = await folder()
    const begin = [...of.lines(10), of.checkpoint()]
    const end = of.lines(10)
    const note = JSON.parse(of.checkpoint()).checkpoint.note as string
    const kept = file('kept', note)
    const [, size, root] = note.split('\n')
    const origins = { [of.origin]: { size: Number(size), root }, 'shop/z/traffic/1': { size: 1, root } }
    const roster = file('roster', JSON.stringify({ origins }))
    const text = (lines: string[]) => lines.join('\n')
    expect(await auditlbOf(text(begin), 'verify', '-', '--vkey', vkey)).toMatchObject({ code: 0 })
    for (const given of [
      ['--checkpoint', kept],
      ['--roster', roster],
    ]) {
      const cut = await auditlbOf(text(begin), 'verify', '-', ...given)
      expect(cut.code).toBe(1)
      expect(cut.out).toMatch(/ {2}line 10: the stream ends before line 10, and the .+ has seen 20 lines/)
      // The lines alone are what was seen.
      const whole = await auditlbOf(text([...begin, ...end]), 'verify', '-', ...given)
      expect(whole.code).toBe(0)
      expect(whole.out).toContain(
        '20 checked, signed up to 20 lines, seen from outside up to 20 lines, 0 at the end that no',
      )
      expect(whole.out.includes('shop/z/traffic/1: not here\n')).toBe(given[0] === '--roster')
    }
  })

  it('is unusable without any log, and does not hold where something must be there', async () => {
    const { file, vkey } = await folder()
    const of = new StreamSource('shop/a/traffic/1', signer)
    of.lines(3)
    const kept = file('kept', JSON.parse(of.checkpoint()).checkpoint.note as string)
    expect((await auditlbOf('hello\n', 'verify', '-')).code).toBe(2)
    expect((await auditlbOf(of.checkpoint(), 'verify', '-')).code).toBe(2)
    expect((await auditlbOf(of.checkpoint(), 'verify', '-', '--vkey', vkey)).code).toBe(1)
    const named = await auditlbOf('hello\n', 'verify', '-', '--vkey', vkey)
    expect(named).toMatchObject({ code: 1, out: expect.stringContaining('the given key shop/a+') })
    const seen = await auditlbOf('hello\n', 'verify', '-', '--checkpoint', kept)
    expect(seen).toMatchObject({ code: 1, out: expect.stringContaining('has seen shop/a/traffic/1, and there is no') })
  })
})

describe('verify --json', () => {
  const documented = readFileSync(join(import.meta.dirname, '../../docs/verification.md'), 'utf8')
  /** The members that stand in a row of the table. */
  const membersOf = (what: string): string[] => {
    const row = documented.split('\n').find((line) => line.startsWith(`| ${what} `))!
    return [...row.split('|')[2]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!).sort()
  }
  const keys = (value: object) => Object.keys(value).sort()

  it('of a folder has the documented members, and ends as without', async () => {
    const { audit, file, traffic, vkey } = await folder()
    const kept = file('kept', readFileSync(join(traffic.dir, 'checkpoint'), 'utf8'))
    const { code, out } = await auditlb('verify', audit, '--json', '--vkey', vkey, '--checkpoint', kept)
    expect([code, out.split('\n').length]).toEqual([0, 2])
    const report = JSON.parse(out)
    expect(report).toMatchObject({ ok: true, authenticated: true, problems: [], elsewhere: [] })
    expect(keys(report)).toEqual(membersOf('the report'))
    expect(keys(report.instances[0])).toEqual(membersOf('an instance'))
    expect(keys(report.instances[0].logs[0])).toEqual(membersOf('a log'))
    expect(report.instances[0].logs[0]).toMatchObject({ log: 'traffic', signed: 20, pinned: 20, unsigned: 0 })
    const path = join(traffic.dir, 'segments/0000000000000000.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace('/x', '/y'))
    const broken = await auditlb('verify', audit, '--json')
    expect(broken.code).toBe(1)
    const [problem] = JSON.parse(broken.out).instances[0].logs[0].problems
    expect(problem).toEqual({ file: path, line: 1, index: 0, fact: 'the line is not the one that was signed' })
    expect(keys(problem)).toEqual(membersOf('a problem'))
    expect(await auditlb('verify', join(audit, 'none'), '--json')).toMatchObject({ code: 2, out: '' })
  })

  it('of a stream has the documented members, and ends as without', async () => {
    const of = new StreamSource('shop/a/traffic/1', signer)
    const { file } = await folder()
    const middle = [...of.lines(10), of.checkpoint()].slice(4)
    const lines = [...middle, ...of.lines(10), of.checkpoint()]
    const kept = file('kept', JSON.parse(of.checkpoint()).checkpoint.note as string)
    const { code, out } = await auditlbOf(lines.join('\n'), 'verify', '-', '--json', '--checkpoint', kept)
    expect(code).toBe(0)
    const report = JSON.parse(out)
    expect(keys(report)).toEqual(membersOf('the report of a stream'))
    expect(keys(report.logs[0])).toEqual(membersOf('a log in a stream'))
    expect(report.logs[0]).toMatchObject({ first: 4, last: 19, checked: 10, begun: 10, pinned: 20, unchecked: 6 })
    const cut = await auditlbOf(middle.join('\n'), 'verify', '-', '--json', '--checkpoint', kept)
    expect([cut.code, JSON.parse(cut.out).ok]).toEqual([1, false])
  })
})

describe('prove and verify-proof', () => {
  it('prove a line, with it or to who has it', async () => {
    const { audit, file, traffic, vkey } = await folder()
    const proved = await auditlb('prove', audit, traffic.origin, '7')
    expect(proved).toMatchObject({ code: 0, err: '' })
    const proof = file('7.tlog-proof', proved.out)
    expect(await auditlb('verify-proof', proof, '--vkey', vkey)).toEqual({
      code: 0,
      err: '',
      out: `${traffic.origin}: line 7 of 20 signed
  2026-01-01T00:00:00.007Z - request.completed /x
holds, authenticated by the given key
`,
    })
    expect((await auditlb('verify-proof', proof)).out).toMatch(/holds, self-consistent, not authenticated\n$/)
    const turned = file('line', JSON.stringify(JSON.parse(traffic.lines[7]!), undefined, 1))
    expect((await auditlb('verify-proof', proof, '--line', turned)).code).toBe(0)
    const other = file('line', traffic.lines[8]!)
    expect(await auditlb('verify-proof', proof, '--line', other)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/the line is not the one at this index of the signed tree\ndoes not hold\n$/),
    })
  })

  it('are unusable without the line', async () => {
    const { audit, file, traffic } = await folder()
    rmSync(join(traffic.dir, 'segments/0000000000000000.jsonl'))
    const { code, out } = await auditlb('prove', audit, traffic.origin, '7')
    expect(code).toBe(0)
    const proof = file('proof', out)
    expect(await auditlb('verify-proof', proof)).toMatchObject({
      code: 2,
      err: expect.stringContaining('must be given'),
    })
    expect((await auditlb('verify-proof', proof, '--line', file('line', traffic.lines[7]!))).code).toBe(0)
    expect(await auditlb('prove', audit, traffic.origin, '20')).toMatchObject({
      code: 2,
      err: expect.stringContaining('line 20 is not one of the 20 that the checkpoint'),
    })
  })
})
