// Opening always makes progress, and never signs two histories of one origin.
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { lineAt, openLog } from '../support/log.ts'
import { bundle, start } from '../support/program.ts'

const segment = (dir: string) => join(dir, 'a/traffic/segments/0000000000000000.jsonl')

/** A closed log of 300 lines, and its origin. */
async function closedLog(options: { segment?: { maxBytes: number } } = {}): Promise<{ dir: string; origin: string }> {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a', ...options })
  log.write('traffic', 300)
  await log.close()
  return { dir, origin: log.opened.heads.traffic.origin }
}

async function reopen(dir: string) {
  const log = await openLog({ dir, instance: 'a' })
  const { traffic } = log.opened.heads
  log.write('traffic', 5)
  await log.close()
  const report = await verifyLog(dir)
  expect(report.instances[0]!.logs.flatMap((one) => one.problems)).toEqual([])
  return { ...traffic, notices: log.notices, report: report.instances[0]!.logs[0]! }
}

it('goes on after a clean close, and has nothing to tell', async () => {
  const { dir, origin } = await closedLog()
  const { next, notices, report, ...head } = await reopen(dir)
  expect({ next, origin: head.origin, notices }).toEqual({ next: 300, origin, notices: [] })
  expect(report.signed).toBe(305)
})

it('moves a torn line aside, byte for byte', async () => {
  const { dir, origin } = await closedLog()
  appendFileSync(segment(dir), '{"audit":{"index":30')
  const { next, notices } = await reopen(dir)
  expect(next).toBe(300)
  expect(notices).toEqual([
    {
      event: 'audit.recovered',
      log: 'traffic',
      facts: {
        torn_bytes: 20,
        torn_file: '0000000000000000.jsonl.torn-0',
        torn_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    },
  ])
  expect(readFileSync(`${segment(dir)}.torn-0`, 'utf8')).toBe('{"audit":{"index":30')
  appendFileSync(segment(dir), '\0\0\0')
  expect((await reopen(dir)).origin).toBe(origin)
  expect(readFileSync(`${segment(dir)}.torn-1`, 'utf8')).toBe('\0\0\0')
})

it.each([
  ['has a key twice', (line: string) => line.replace('{', '{"app":{"by":"mallory"},"app":{"by":"alice"},')],
  ['is not in canonical form', (line: string) => line.replace(':', ': ')],
  ['holds a number that is none', (line: string) => line.replace('"event_name"', '"aux":1e999,"event_name"')],
  [
    'is longer than any that a writer makes',
    (line: string) => line.replace('"event_name":"', `$&${'x'.repeat(70_000)}`),
  ],
])('does not sign a line that %s', async (_, change) => {
  const { dir, origin } = await closedLog()
  appendFileSync(segment(dir), `${lineAt(origin, 300)}\n${change(lineAt(origin, 301))}\n`)
  const { next, notices } = await reopen(dir)
  expect(next).toBe(301)
  expect(notices[0]?.facts).toMatchObject({ unsigned_lines: 1, torn_file: '0000000000000000.jsonl.torn-0' })
})

it('keeps whole lines that are not signed, up to the first that is not valid', async () => {
  const { dir, origin } = await closedLog()
  appendFileSync(segment(dir), `${lineAt(origin, 300)}\n${lineAt(origin, 301)}\n${lineAt(origin, 301)}\n`)
  const { next, notices } = await reopen(dir)
  expect(next).toBe(302)
  expect(notices[0]?.facts).toMatchObject({ unsigned_lines: 2, torn_bytes: lineAt(origin, 301).length + 1 })
})

it('survives zeros that a power loss left, however many', async () => {
  const { dir } = await closedLog()
  appendFileSync(segment(dir), Buffer.alloc(200_000))
  const { next, notices } = await reopen(dir)
  expect(next).toBe(300)
  expect(notices[0]?.facts).toMatchObject({ torn_bytes: 200_000 })
})

describe('sets the log aside', () => {
  const cases: [string, (dir: string) => void, string][] = [
    ['when a signed line is cut off', (dir) => truncateSync(segment(dir), 1000), 'missing'],
    ['when no segment is left', (dir) => rmSync(join(dir, 'a/traffic/segments'), { recursive: true }), 'missing'],
    ['when the checkpoint is gone', (dir) => rmSync(join(dir, 'a/traffic/checkpoint')), 'the checkpoint is missing'],
    ['when the key is another', (dir) => rmSync(join(dir, 'a/key')), 'another key is in use'],
    [
      'when a signed line is altered',
      (dir) => {
        const bytes = readFileSync(segment(dir))
        bytes[50]! ^= 1
        writeFileSync(segment(dir), bytes)
      },
      'do not match',
    ],
  ]
  it.each(cases)('%s', async (_, damage, reason) => {
    const { dir, origin } = await closedLog()
    damage(dir)
    const { next, notices, ...head } = await reopen(dir)
    expect(next).toBe(0)
    expect(head.origin).not.toBe(origin)
    const facts = notices.find((notice) => notice.log === 'traffic')!.facts
    expect(facts.reason).toContain(reason)
    expect(existsSync(join(dir, 'a', String(facts.aside), 'vkey'))).toBe(true)
    const { instances } = await verifyLog(dir)
    expect(instances[0]?.aside.map(({ name }) => name)).toContain(facts.aside)
    expect(await verifyLog(dir)).toMatchObject({ ok: false })
    expect(instances[0]?.problems).toContainEqual({
      file: join(dir, 'a', String(facts.aside)),
      fact: expect.stringContaining('set aside by its writer'),
    })
  })
})

describe('sets whole logs aside, and says why', () => {
  /** Opens it again, and returns what was told of the traffic log: in its event, to the logger, and by verification. */
  async function opened(dir: string, service: string, key?: { file: string }) {
    const log = await openLog({ dir, instance: 'a', ...(key && { key }) }, { service })
    await log.close()
    const facts = log.notices.find((notice) => notice.log === 'traffic')?.facts
    const { ok, instances } = await verifyLog(dir)
    const traffic = instances[0]!.problems.filter(({ file }) => file.includes('traffic')).map(({ fact }) => fact)
    return { reason: facts?.reason, told: log.told, ok, problems: instances[0]!.problems, traffic }
  }
  const warned = ['logs that cannot be gone on with are set aside, and new ones begin']

  it('when the service has another name', async () => {
    const { dir, origin } = await closedLog()
    const { reason, told, ok, problems, traffic } = await opened(dir, 'mart')
    expect(reason).toBe(`the checkpoint is of another service, shop: it names ${origin}, and this is mart/a/traffic`)
    expect(told).toEqual(warned)
    expect([ok, problems.length]).toEqual([false, 3])
    expect(traffic).toEqual([`set aside by its writer: ${reason}; nothing in it is missing or altered`])
    // One that was set aside by a writer that left no reason.
    for (const name of readdirSync(join(dir, 'a')).filter((one) => one.includes('.aside-')))
      rmSync(join(dir, 'a', name, 'reason'), { force: true })
    const { instances } = await verifyLog(dir)
    expect(instances[0]!.problems.map(({ fact }) => fact)).toContain(
      `set aside by its writer: its checkpoint names ${origin}, and the logs here are those of mart/a; nothing in it is missing or altered`,
    )
    expect(await opened(dir, 'mart')).toMatchObject({ reason: undefined, told: [] })
  })

  it('when another key stands in the file of the key', async () => {
    const dir = tempFolder()
    const file = join(tempFolder(), 'key.pem')
    const fresh = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
    writeFileSync(file, fresh())
    await opened(dir, 'shop', { file })
    const vkey = readFileSync(join(dir, 'a/vkey'), 'utf8')
    writeFileSync(file, fresh())
    const { reason, told, traffic } = await opened(dir, 'shop', { file })
    const short = vkey.slice(0, vkey.lastIndexOf('+'))
    expect(reason).toBe(`another key is in use: ${short} has signed the log, and is not here to name it`)
    expect(told).toEqual(warned)
    expect(traffic).toEqual([`set aside by its writer: ${reason}; nothing in it is missing or altered`])
  })

  it('and a name that somebody has put into the checkpoint is bounded, and obeyed by no terminal', async () => {
    const { dir } = await closedLog()
    const name = `x\u001b[2J${'y'.repeat(100_000)}`
    writeFileSync(
      join(dir, 'a/traffic/checkpoint'),
      `${name}\n0\n${Buffer.alloc(32).toString('base64')}\n\n— x AAAAAAAA\n`,
    )
    const { reason } = await opened(dir, 'shop')
    expect(reason).toMatch(/^the checkpoint is of another service, x\\u\{1b\}\[2Jy+: it names /)
    expect(String(reason).length).toBeLessThan(600)
  })
})

it('tells when a whole log is gone, and tells nothing of a new one', async () => {
  const { dir, origin } = await closedLog()
  rmSync(join(dir, 'a/traffic'), { recursive: true })
  const { next, notices, ...head } = await reopen(dir)
  expect(next).toBe(0)
  expect(head.origin).not.toBe(origin)
  expect(notices).toEqual([{ event: 'audit.recovered', log: 'traffic', facts: { reason: 'the log is missing' } }])
  expect((await openLog({ dir: tempFolder() })).notices).toEqual([])
})

describe('tiles that are lost', () => {
  it('are computed again from the lines', async () => {
    const { dir, origin } = await closedLog({ segment: { maxBytes: 8_000 } })
    expect(readdirSync(join(dir, 'a/traffic/segments')).length).toBeGreaterThan(2)
    rmSync(join(dir, 'a/traffic/tile'), { recursive: true })
    const { next, notices, ...head } = await reopen(dir)
    expect({ next, notices, origin: head.origin }).toEqual({ next: 300, notices: [], origin })
  })

  it('that stand for deleted lines make the log begin anew', async () => {
    const { dir, origin } = await closedLog({ segment: { maxBytes: 8_000 } })
    rmSync(segment(dir))
    rmSync(join(dir, 'a/traffic/tile'), { recursive: true })
    const found = await reopen(dir)
    expect(found.origin).not.toBe(origin)
  })
})

describe('a process that is killed', () => {
  let program: Awaited<ReturnType<typeof bundle>>
  beforeAll(async () => {
    program = await bundle('test/support/log-program.ts')
  }, 60_000)
  afterAll(() => program.remove())

  it('loses no line that it was told is durable', async () => {
    const dir = tempFolder()
    let durable = -1
    for (let kill = 0; kill < 5; kill++) {
      const { child, said, ended } = start(program.path, dir)
      await said('durable-many')
      child.kill('SIGKILL')
      const { stdout } = await ended
      for (const [, index] of stdout.matchAll(/^durable (\d+)$/gm)) durable = Math.max(durable, Number(index))
      const log = await openLog({ dir, instance: 'a' })
      expect(log.opened.heads.traffic.next).toBeGreaterThan(durable)
      await log.close()
      const report = await verifyLog(dir)
      expect(report.instances[0]!.logs.flatMap((one) => one.problems)).toEqual([])
      expect(report.instances[0]!.aside).toEqual([])
    }
    expect(durable).toBeGreaterThan(1000)
  }, 60_000)
})

it('leaves no partial tile behind that a wider one replaced', async () => {
  const { dir } = await closedLog()
  const partials = () => readdirSync(join(dir, 'a/traffic/tile/0/001.p'))
  expect(partials()).toEqual(['44'])
  await reopen(dir)
  expect(partials()).toEqual(['49'])
})
