// The verbs, their exit codes, and what they print.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { auditlb } from '../support/cli.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'

async function folder(fields: Record<string, unknown> = {}): Promise<string> {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  log.write('traffic', 3, fields)
  await log.close()
  return dir
}

describe('help', () => {
  it('names each verb', async () => {
    const { code, out } = await auditlb('--help')
    expect(code).toBe(0)
    for (const verb of ['verify', 'query', 'prove', 'verify-proof', 'prune'])
      expect(out).toMatch(new RegExp(`^  ${verb} +\\S`, 'm'))
  })

  it.each(['verify', 'query', 'prove', 'prune'])('of %s', async (verb) => {
    expect(await auditlb(verb, '--help')).toMatchObject({
      code: 0,
      out: expect.stringContaining(`Usage: auditlb ${verb} DIR`),
    })
  })

  it('has the version', async () => {
    expect(await auditlb('--version')).toEqual({ code: 0, out: `${packageJson.version}\n`, err: '' })
  })
})

describe('unusable arguments and input', () => {
  it.each([
    [[], 'a verb is missing'],
    [['prune-all'], 'there is no verb "prune-all"'],
    [['verify'], 'verify: the folder is missing'],
    [['verify', 'a', 'b'], 'unexpected argument "b"'],
    [['verify', 'a', '--nope'], "Unknown option '--nope'"],
    [['verify', '/no/such/folder'], 'read /no/such/folder: ENOENT'],
    [['verify', '.', '--vkey', '/no/such/file'], 'read the verifier key /no/such/file: ENOENT'],
    [['verify', '.', '--roster', '/no/such/file'], 'read the roster /no/such/file: ENOENT'],
    [['verify', '.', '--checkpoint', '/no/such/file'], 'read the checkpoint /no/such/file: ENOENT'],
    [['verify', '.', '--sink', 'x'], '--sink is for a stream, not for a folder'],
    [['verify', '-', '--roster', '/no/such/file'], 'read the roster /no/such/file: ENOENT'],
    [['verify', '-'], 'the stream has no line and no checkpoint of a log'],
    [['prove', '.', 'x'], 'prove: the index is missing'],
    [['prove', '.', 'x', '-1'], "Unknown option '-1'"],
    [['prove', '.', 'x', '1.5'], 'INDEX: expected a whole number, got "1.5"'],
    [['verify-proof'], 'verify-proof: the file is missing'],
    [['verify-proof', '/no/such/file'], 'read the proof /no/such/file: ENOENT'],
    [['verify-proof', 'package.json'], 'the proof: it has no empty line before its checkpoint'],
    [['query', '.', '--limit', 'x'], '--limit: expected a whole number, got "x"'],
    [['query', '.', '--limit', '-1'], '--limit: expected a whole number, got "-1"'],
    [['query', '.', '--limit'], "Option '--limit <value>' argument missing"],
    [['query', '.', '--since', '5x'], 'or a duration such as 30m, 1h or 7d, got "5x"'],
    [['query', '.', '--since', '-1h'], 'or a duration such as 30m, 1h or 7d, got "-1h"'],
    [['query', '.', '--client', '300.1.1.1'], 'got "300.1.1.1"'],
    [['query', '.', '--status', '0xx'], 'got "0xx"'],
    [['query', '.', '--pool', ''], 'what was given is not valid: the query has 1 problem'],
    [['verify', '.', '--vkey', 'package.json'], 'the verifier key package.json: a verifier key has the form'],
    [['verify', '.', '--roster', 'package.json'], 'the roster package.json: expected a JSON object'],
    [['verify', '.', '--checkpoint', 'package.json'], 'the checkpoint package.json: note 1 is no checkpoint'],
    [['verify-proof', 'package.json', '--vkey', 'package.json'], 'the verifier key package.json: a verifier key has'],
    [['query', '.', '--type', 'request.complete'], 'the nearest is "request.completed"'],
    [['query', '.', '--log', 'trafic'], 'the nearest is "traffic"'],
    [['query', '.', '--typ', 'x'], "Unknown option '--typ'"],
    [['query', '/no/such/folder'], 'read /no/such/folder: ENOENT'],
  ])('%j', async (args, fact) => {
    const { code, out, err } = await auditlb(...args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^auditlb: /)
    expect(err).toContain(fact)
  })
})

it.each([
  [['query', '.', '--limit', '-1'], 'query: --limit: expected a whole number, got "-1"'],
  [['verify', '.', '--vkey', '/no/such/file'], 'verify: cannot read the verifier key /no/such/file: ENOENT'],
])('a value or a file that cannot be used takes one line: %j', async (args, fact) => {
  expect(await auditlb(...args)).toEqual({ code: 2, out: '', err: `auditlb: ${fact}\n` })
})

describe('verify', () => {
  it('says that a folder holds, and by which key', async () => {
    const dir = await folder()
    expect(await auditlb('verify', dir)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/a\/traffic: 3 signed, root .*\nholds, self-consistent, not authenticated\n$/s),
    })
    expect(await auditlb('verify', dir, '--vkey', join(dir, 'a', 'vkey'))).toMatchObject({
      code: 0,
      out: expect.stringContaining('holds, authenticated by the given key'),
    })
  })

  it('names the line that does not hold', async () => {
    const dir = await folder()
    const path = join(dir, 'a/traffic/segments/0000000000000000.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"index":1', '"index":7'))
    expect(await auditlb('verify', dir)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/jsonl:2: line 1: the line is not the one that was signed\n.*does not hold\n$/s),
    })
  })
})

describe('verify, of what somebody has put there', () => {
  it('prints no name that a terminal would obey', async () => {
    const dir = await folder()
    renameSync(join(dir, 'a'), join(dir, 'a\u001b[2K\r'))
    mkdirSync(join(dir, 'a\u001b[2K\r', 'traffic.aside-\u001b[1A'))
    const { code, out } = await auditlb('verify', dir)
    expect(code).toBe(1)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there.
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
    expect(out).toContain('a\\u{1b}[2K\\u{d}/traffic: ')
    expect(out).toContain('traffic.aside-\\u{1b}[1A: set aside by its writer')
    const unusable = await auditlb('verify', join(dir, '\u001b[1A'))
    expect(unusable.err).toContain('\\u{1b}[1A: ENOENT')
  })

  it('ends with 1 when a log was set aside', async () => {
    const dir = await folder()
    mkdirSync(join(dir, 'a', 'traffic.aside-1'))
    expect(await auditlb('verify', dir)).toMatchObject({ code: 1, out: expect.stringMatching(/does not hold\n$/) })
  })

  it('ends with 1 when a folder stands where a file belongs', async () => {
    const dir = await folder()
    const path = join(dir, 'a/control/checkpoint')
    rmSync(path)
    mkdirSync(path)
    expect(await auditlb('verify', dir)).toMatchObject({
      code: 1,
      out: expect.stringContaining('it cannot be read: EISDIR'),
    })
  })
})

describe('query', () => {
  it.each([
    ['a number that no line may hold', '1e999'],
    ['more depth than can be printed', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
  ])('--json names a line with %s, and prints the others', async (_, value) => {
    const dir = await folder()
    const path = join(dir, 'a/traffic/segments/0000000000000000.jsonl')
    const { code: before, out: all } = await auditlb('query', dir, '--json')
    expect(before).toBe(0)
    writeFileSync(path, readFileSync(path, 'utf8').replace('"index":1', `"index":1,"x":${value}`))
    const { code, out, err } = await auditlb('query', dir, '--json')
    expect(code).toBe(2)
    expect(out.split('\n')).toEqual(
      all.split('\n').filter((line) => !line.includes('"index":1,"origin":"shop/a/traffic')),
    )
    expect(err).toMatch(/line 1 of shop\/a\/traffic\/[0-9a-f]+ cannot be printed/)
  })

  it('prints a readable line for each event, in which nothing is obeyed by a terminal', async () => {
    const dir = await folder({ url: { path: '/\u001b[31m\n\u202e' }, lb: { pool: 'edge' } })
    const { code, out } = await auditlb('query', dir, '--limit', '1')
    expect(code).toBe(0)
    expect(out).toBe('2026-01-01T00:00:00.000Z edge request.completed /\\u{1b}[31m\\u{a}\\u{202e}\n')
  })

  it('prints the path that the client asked for', async () => {
    const dir = await folder({ url: { path: '/k/1', original_path: '/api/k/1' } })
    const { out } = await auditlb('query', dir, '--path', '/api/*', '--last', '1')
    expect(out).toBe('2026-01-01T00:00:00.002Z - request.completed /api/k/1\n')
  })

  it('prints the ticket of a change, and the fields of the events of a host, not without end', async () => {
    const change = await folder({ event_name: 'config.changed', config: { message: 'scale out', ticket: 'OPS-7' } })
    expect((await auditlb('query', change, '--limit', '1')).out).toContain(' message=scale out ticket=OPS-7')
    const app = await folder({ event_name: 'app.order', app: { order: 7, note: 'x'.repeat(1000) } })
    expect((await auditlb('query', app, '--limit', '1')).out).toMatch(/ app=\{"note":"x{100,250}…\n$/)
    const request = await folder({ app: { user: 'u' } })
    expect((await auditlb('query', request, '--limit', '1')).out).not.toContain('app=')
  })

  it('--json prints the lines as they were recorded', async () => {
    const dir = await folder({ 10: 'a', 9: 'b', text: 'é' })
    const recorded = readFileSync(join(dir, 'a/traffic/segments/0000000000000000.jsonl'), 'utf8')
    expect(await auditlb('query', dir, '--json')).toEqual({ code: 0, out: recorded, err: '' })
  })

  it('without a match prints nothing and is no fault', async () => {
    expect(await auditlb('query', await folder(), '--request-id', 'none')).toEqual({ code: 0, out: '', err: '' })
  })
})
