// Sinks of all kinds at once under one fault after the other: what each has got and what its gaps tell is what was emitted.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { queryLog } from '../../../src/log/query.ts'
import type { LogName } from '../../../src/sink.ts'
import { expectAccounted, type Line, parsed, type Sum } from '../../support/accounts.ts'
import { tempFolder } from '../../support/folder.ts'
import { start } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'
import { noStrace } from '../../support/strace.ts'

const program = join(import.meta.dirname, '..', '..', 'support', 'sinks-program.mjs')
const rounds = scaled(3000, 300)

/** A collector that keeps what it accepts, and does as it is told. */
async function moody() {
  let mood = 'ok'
  const kept: string[] = []
  const held: (() => void)[] = []
  let server: Server
  const listen = async (port: number): Promise<number> => {
    server = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('error', () => undefined).on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const body = Buffer.concat(parts).toString()
        const accept = (): void => {
          kept.push(body)
          response.writeHead(204).end()
        }
        if (mood === 'fail') response.writeHead(500).end()
        else if (mood === 'hang') held.push(() => response.destroy())
        else if (mood === 'slow') setTimeout(accept, 50)
        else if (mood === 'refuse' && body.includes('"poison":true')) response.writeHead(400).end()
        else if (mood === 'forget' && kept.push(body) % 2 === 0) response.destroy()
        else accept()
      })
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const down = (): void => {
    server.close()
    server.closeAllConnections()
  }
  const port = await listen(0)
  onTestFinished(down)
  const be = async (next: string): Promise<void> => {
    if (mood === 'down') await listen(port)
    if (next === 'down') down()
    mood = next
    for (const letGo of held.splice(0)) letGo()
  }
  return { url: `http://127.0.0.1:${port}/`, kept, be }
}

interface Trial {
  readonly dir: string
  readonly pid: number
  /** Tells the program, and resolves once it has done so. */
  say(command: string): Promise<void>
  /** How the collector and the sinks of the host's own fare from now on. */
  fare(how: string): Promise<void>
}

/** Until it is undone, these calls of the process fail. */
async function failing(pid: number, inject: string): Promise<() => Promise<void>> {
  const tracer = spawn('strace', ['-f', '-o', '/dev/null', '-e', `inject=${inject}`, '-p', String(pid)])
  onTestFinished(() => void tracer.kill('SIGKILL'))
  const ended = once(tracer, 'close')
  await once(tracer.stderr, 'data')
  return async () => {
    tracer.kill('SIGTERM')
    await ended
  }
}

/** More than memory holds back. */
const flood = 'emit 2500 large'

const segmentsOf = (dir: string, log: LogName): string => join(dir, 'a', log, 'segments')
const segments = (dir: string, log: LogName): string[] => readdirSync(segmentsOf(dir, log)).sort()
const newest = (dir: string, log: LogName): string => join(segmentsOf(dir, log), segments(dir, log).at(-1)!)
/** The index of the oldest line that is there. */
const oldest = (dir: string, log: LogName): number => Number.parseInt(segments(dir, log)[0]!, 10)

interface Fault {
  readonly name: string
  /** Options of the file sink besides its folder; none without one. */
  readonly file?: object
  readonly queueBytes?: number
  /** In MiB: the folder is on a disk of that size. */
  readonly disk?: number
  readonly strace?: true
  act(trial: Trial): Promise<void>
  /** What the fault must have led to. */
  holds?(sum: Sum, lines: readonly Line[]): void
}

/** A time of trouble for sinks, between two of peace. */
const sinksThat = (how: string, holds?: Fault['holds']): Fault => ({
  name: `sinks: ${how}`,
  file: {},
  async act({ fare, say }) {
    await fare(how)
    await say(`emit ${rounds}`)
    await sleep(scaled(3000, 600))
    if (how !== 'refuse') await fare('ok')
  },
  ...(holds === undefined ? {} : { holds }),
})

const systemThat = (inject: string): Fault => ({
  name: `system: ${inject}`,
  file: { reserveBytes: 0 },
  strace: true,
  async act({ pid, say }) {
    const undo = await failing(pid, inject)
    await say(flood)
    await sleep(scaled(3000, 300))
    await undo()
  },
})

const losesBefore: Fault['holds'] = ({ lost }) => expect(lost).toBeGreaterThan(0)
const failed: Fault['holds'] = (_, lines) =>
  expect(lines.map(({ event_name }) => event_name)).toContain('audit.sink_changed')

const faults: Fault[] = [
  sinksThat('down', failed),
  sinksThat('slow'),
  sinksThat('hang', failed),
  sinksThat('fail', failed),
  sinksThat('forget'),
  sinksThat('refuse', ({ gaps }) => {
    // Those that came before may have been on their way.
    for (const sink of ['http', 'custom', 'picky']) expect(gaps[sink]).toBeGreaterThanOrEqual((2 * rounds) / 50)
    expect(gaps).toMatchObject({ stdout: 0, filtered: 0, file: 0 })
  }),
  { ...systemThat('pwrite64:error=ENOSPC'), holds: losesBefore },
  { ...systemThat('pwrite64:error=EIO'), holds: losesBefore },
  systemThat('fdatasync,fsync:error=EIO'),
  {
    name: 'a disk that is full',
    file: { reserveBytes: 65_536 },
    disk: 160,
    async act({ dir, say }) {
      const filler = join(dir, '..', 'filler')
      for (let block = 1024 ** 2; block >= 4096; ) {
        try {
          writeFileSync(filler, Buffer.alloc(block), { flag: 'a' })
        } catch {
          block /= 4
        }
      }
      await say(flood)
      rmSync(filler)
    },
    holds: losesBefore,
  },
  {
    name: 'a segment that is deleted',
    file: {},
    async act({ dir, say }) {
      for (const log of ['traffic', 'security', 'control'] as const) {
        await say(`emit ${rounds}`)
        unlinkSync(newest(dir, log))
      }
      for (const log of ['traffic', 'security', 'control'] as const)
        while (!existsSync(segmentsOf(dir, log)) || readdirSync(segmentsOf(dir, log)).length === 0) await sleep(20)
    },
    holds: ({ gaps }) => expect(gaps.file).toBe(0),
  },
  {
    name: 'a segment that is cut under sinks that hang',
    file: {},
    async act({ dir, fare, say }) {
      await fare('hang')
      await say(`emit ${rounds}`)
      await sleep(300)
      truncateSync(newest(dir, 'traffic'), 20_000)
      await say(`emit ${rounds}`)
      await sleep(1500)
      await fare('ok')
    },
    holds({ gaps }) {
      for (const sink of ['file', 'http', 'custom']) expect(gaps[sink]).toBeGreaterThan(0)
    },
  },
  {
    name: 'a clock that is set forth and back',
    file: {},
    async act({ say }) {
      for (const ms of [3_600_000, -7_200_000, 400 * 86_400_000, -401 * 86_400_000]) {
        await say(`step ${ms}`)
        await say(`emit ${rounds}`)
        await sleep(scaled(2500, 1200))
      }
    },
    holds: ({ gaps }, lines) => {
      expect(lines.filter(({ event_name }) => event_name === 'audit.clock_stepped').length).toBeGreaterThan(1)
      expect(gaps).toMatchObject({ file: 0, http: 0, custom: 0 })
    },
  },
  {
    name: 'a budget that is reached under sinks that hang',
    file: { maxBytes: 1024 ** 2 },
    async act({ dir, fare, say }) {
      await fare('hang')
      // Until all that they may have got before is gone, and more.
      for (const got = 4 * rounds + 100; oldest(dir, 'traffic') <= got; await sleep(200)) await say('emit 300')
      await fare('ok')
      await say(`emit ${rounds}`)
    },
    holds({ gaps }) {
      for (const sink of ['file', 'http', 'custom']) expect(gaps[sink]).toBeGreaterThan(0)
    },
  },
  {
    name: 'no file, and more than memory takes under sinks that hang',
    queueBytes: 262_144,
    async act({ fare, say }) {
      await fare('hang')
      await say(`emit ${rounds}`)
      await sleep(300)
      await say(`emit ${rounds}`)
      await fare('ok')
    },
    holds({ gaps }) {
      for (const sink of ['http', 'custom']) expect(gaps[sink]).toBeGreaterThan(0)
    },
  },
]

function mounted(mib: number): string {
  const dir = tempFolder()
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'none', dir])
  onTestFinished(() => void execFileSync('umount', ['-l', dir]))
  return dir
}

/** Where all must run, a mount that is not allowed is a failure. */
const mounts = process.env.AUDITLB_INTEROP === 'required' || process.getuid?.() === 0
/** One of each kind. */
const inShort = [
  'sinks: hang',
  'sinks: refuse',
  'system: pwrite64:error=ENOSPC',
  'a segment that is cut',
  'a budget',
  'no file',
]
const chosen = faults.filter(({ name }) =>
  scaled(
    true,
    inShort.some((one) => name.startsWith(one)),
  ),
)

for (const fault of chosen) {
  it.skipIf((fault.strace && noStrace) || (fault.disk !== undefined && !mounts))(fault.name, async () => {
    const out = tempFolder()
    const dir = join(fault.disk === undefined ? tempFolder() : mounted(fault.disk), 'audit')
    const collector = await moody()
    const { url, kept } = collector
    const file = fault.file === undefined ? undefined : { dir, ...fault.file }
    const { child, said, ended } = start(program, JSON.stringify({ out, url, file, queueBytes: fault.queueBytes }))
    let commands = 0
    const say = async (command: string): Promise<void> => {
      child.stdin!.write(`${command} #${++commands}\n`)
      await said(`did ${command} #${commands}`)
    }
    const fare = async (how: string): Promise<void> => {
      await collector.be(how)
      await say(`mode ${how === 'down' ? 'fail' : how}`)
    }
    await said('ready')
    await say(`emit ${rounds}`)
    await fault.act({ dir, pid: child.pid!, say, fare })
    await say(`emit ${rounds}`)
    // What has not taken anything yet has no file.
    const own = (name: string): string => {
      const path = join(out, `${name}.jsonl`)
      return existsSync(path) ? readFileSync(path, 'utf8') : ''
    }
    const has = (text: string): boolean => text.includes('"app.last"')
    // A gap that is found when the log is closed cannot be told any more. Where there is little room the last one may be in a gap too.
    do {
      await say('last')
      await sleep(50)
    } while (!kept.some(has) || !['custom', 'filtered', 'picky'].map(own).every(has))
    child.stdin!.write('stop\n')
    const { emitted, undelivered } = JSON.parse(await said('done')) as {
      emitted: Record<string, number>
      undelivered: Record<string, number>
    }
    const { stdout, stderr } = await ended
    expect(stderr).toBe('')
    expect(undelivered).toEqual({})
    const account = (name: string) => ({ sink: name, lines: parsed(own(name)) })
    const wants = (name: string) => /^(access\.denied$|config\.|audit\.|app\.last$)/.test(name)
    const sinks = [
      { sink: 'stdout', lines: parsed(stdout) },
      { sink: 'http', lines: parsed(kept.join('')) },
      account('custom'),
      { ...account('filtered'), wants },
      account('picky'),
    ]
    const lines: Line[] = []
    if (file !== undefined) for await (const event of queryLog(dir)) lines.push(event as unknown as Line)
    const total = Object.values(emitted).reduce((sum, count) => sum + count, 0)
    const closed = sinks[0]!.lines.find(({ event_name }) => event_name === 'audit.closed')
    expect(closed?.log?.emitted).toBe(total)
    const sum = expectAccounted(total, sinks, file === undefined ? undefined : { sink: 'file', lines })
    process.stdout.write(`${fault.name}: ${JSON.stringify(sum)}\n`)
    fault.holds?.(sum, file === undefined ? sinks[0]!.lines : lines)
  })
}
