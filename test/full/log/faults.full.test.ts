// A disk that is full, fails or is slow, and a process that is killed at any moment: nothing is lost without a count.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { queryLog } from '../../../src/log/query.ts'
import { verifyLog } from '../../../src/log/verify.ts'
import { seededRandom } from '../../../src/random.ts'
import { tempFolder } from '../../support/folder.ts'
import { openLog } from '../../support/log.ts'
import { bundle, start } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'
import { noStrace } from '../../support/strace.ts'
import { until } from '../../support/until.ts'

let faulty: Awaited<ReturnType<typeof bundle>>
let killed: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  faulty = await bundle('test/support/fault-program.ts')
  killed = await bundle('test/support/kill-program.ts')
}, 120_000)
afterAll(() => {
  faulty.remove()
  killed.remove()
})

interface Done {
  readonly traffic: number
  readonly security: number
  readonly undelivered: Record<string, number>
  readonly told: string[]
}

/** Each event is a line, or counted in a gap of its log: exactly, by type. */
async function expectAccounted(dir: string, done: Done): Promise<{ gaps: number }> {
  const lines = { 'app.x': 0, 'access.denied': 0 }
  const lost = { 'app.x': 0, 'access.denied': 0 }
  const names = Object.keys(lines) as (keyof typeof lines)[]
  for await (const event of queryLog(dir)) {
    const name = event.event_name as string
    for (const one of names) {
      if (name === one) lines[one]++
      if (name === 'audit.gap') lost[one] += (event.log as { by_type: Record<string, number> }).by_type[one] ?? 0
    }
  }
  expect(done.undelivered).toEqual({})
  expect({ traffic: lines['app.x'] + lost['app.x'], security: lines['access.denied'] + lost['access.denied'] }).toEqual(
    {
      traffic: done.traffic,
      security: done.security,
    },
  )
  const report = await verifyLog(dir)
  expect(report.instances.flatMap(({ logs }) => logs.flatMap(({ problems }) => problems))).toEqual([])
  expect(report.ok).toBe(true)
  return { gaps: lost['app.x'] + lost['access.denied'] }
}

function tmpfs(size: string): string | undefined {
  const dir = tempFolder()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', dir], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  onTestFinished(() => void execFileSync('umount', ['-l', dir]))
  return dir
}

describe('a disk that is full for a while', () => {
  const cases = [
    { size: '30m', reserve: 65_536, each: 10, lost: false },
    { size: '30m', reserve: 0, each: 10, lost: false },
    // More than memory holds back: what is lost is counted.
    { size: '300m', reserve: 1_048_576, each: 500, lost: true },
  ]
  it.each(cases)('%j: lines and gaps are what was emitted', async ({ size, reserve, each, lost }) => {
    const disk = tmpfs(size)
    if (disk === undefined) return console.warn('not run: a tmpfs needs the right to mount')
    const dir = join(disk, 'audit')
    const { said, child, ended } = start(faulty.path, dir, String(reserve), String(each))
    await said('ready')
    let emitted = 0
    child.stdout!.on('data', (chunk: string) => {
      emitted = Number([...chunk.matchAll(/emitted (\d+)\n/g)].at(-1)?.[1] ?? emitted)
    })
    const filler = join(disk, 'filler')
    for (let time = 0; time < scaled(8, lost ? 1 : 2); time++) {
      // From when it is full on. What compression frees is taken as well.
      let ends = Infinity
      let most = 0
      for (let block = 1024 ** 2; Date.now() < ends || (lost && emitted < most); ) {
        try {
          writeFileSync(filler, Buffer.alloc(block), { flag: 'a' })
        } catch (error) {
          expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
          if (block === 4096) await new Promise((resolve) => setTimeout(resolve, 50))
          block = 4096
          if (ends < Infinity) continue
          ends = Date.now() + scaled(5000, 2000)
          // Twice what memory holds back: the count comes late, and compression frees some room.
          most = emitted + 200_000
        }
      }
      if (reserve > 0 && time === 0) expect(existsSync(join(dir, 'a/reserve'))).toBe(false)
      rmSync(filler)
      await new Promise((resolve) => setTimeout(resolve, 1500))
    }
    child.stdin!.write('stop\n')
    const done = JSON.parse(await said('done')) as Done
    await ended
    const { gaps } = await expectAccounted(dir, done)
    expect(gaps > 0).toBe(lost)
    expect(done.told).toContain('the log cannot be written, and its lines wait')
  })
})

describe.skipIf(noStrace)('system calls that fail', () => {
  const faults = [
    'pwrite64:error=EIO:when=15+7',
    'pwrite64:error=ENOSPC:when=15+3',
    'pwrite64:error=EDQUOT:when=15+5',
    'fdatasync:error=EIO:when=6+3',
    'fsync:error=EIO:when=20+4',
    'rename:error=EIO:when=12+3',
    // From then on no checkpoint is taken.
    'rename:error=EIO:when=12+1',
    'unlink:error=EIO',
    'unlink:error=EIO:when=2+2',
    'fdatasync:delay_enter=200000:when=5+5',
  ]
  it.each(faults)('%s', async (fault) => {
    const dir = tempFolder()
    const args = ['-f', '-qq', '-o', '/dev/null', '-e', `inject=${fault}`, process.execPath, faulty.path, dir]
    const child = spawn('strace', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk
    })
    await until(() => out.includes('ready\n'))
    await new Promise((resolve) => setTimeout(resolve, scaled(10_000, 3000)))
    child.stdin.write('stop\n')
    await until(() => /^done .*\n/m.test(out))
    const done = JSON.parse(/^done (.*)$/m.exec(out)![1]!) as Done
    await new Promise((resolve) => child.on('close', resolve))
    expect(done.undelivered).toEqual({})
    // A checkpoint or an fsync that fails at the very end leaves lines that the next start finds and signs.
    const log = await openLog({ dir, instance: 'a' })
    expect(log.notices.filter(({ facts }) => 'aside' in facts || 'torn_bytes' in facts)).toEqual([])
    await log.close()
    await expectAccounted(dir, done)
  })
})

it(`${scaled(200, 8)} kills amid rotation, compression, pruning and changes of keys: every start goes on, and verifies`, async () => {
  const dir = tempFolder()
  const random = seededRandom(5)
  let durable = -1
  const recovered: Record<string, number> = {}
  for (let kill = 0; kill < scaled(200, 8); kill++) {
    const { child, said, ended } = start(killed.path, dir)
    await said('durable')
    await new Promise((resolve) => setTimeout(resolve, random.uint32() % 700))
    child.kill('SIGKILL')
    const { stdout, stderr } = await ended
    expect(stderr).toBe('')
    for (const [, index] of stdout.matchAll(/^durable (\d+)$/gm)) durable = Math.max(durable, Number(index))
    const left = readdirSync(join(dir, 'a')).concat(readdirSync(join(dir, 'a/traffic/segments')))
    for (const name of left.filter((one) => /tmp$|next$/.test(one))) recovered[name.replace(/\d+/g, 'n')] ??= kill
    const log = await openLog({ dir, instance: 'a' })
    expect(log.opened.heads.traffic.next).toBeGreaterThan(durable)
    expect(log.notices.filter(({ facts }) => 'aside' in facts)).toEqual([])
    await log.close()
  }
  expect(durable).toBeGreaterThan(1000)
  const report = await verifyLog(dir)
  expect(report.instances[0]!.aside).toEqual([])
})
