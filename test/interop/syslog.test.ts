// A real rsyslog, with a configuration of its own: every line arrives whole, the longest too.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { type SyslogSinkOptions, syslogSink } from '../../src/index.ts'
import { fedInTime } from '../support/collector.ts'
import { tempFolder } from '../support/folder.ts'
import { batchOf, sample, samples } from '../support/sample-events.ts'
import { authority } from '../support/tls.ts'
import { until } from '../support/until.ts'

const daemon = '/usr/sbin/rsyslogd'
const present = existsSync(daemon)
const hasTls = present && readdirSync('/usr/lib').some((name) => existsSync(`/usr/lib/${name}/rsyslog/lmnsd_gtls.so`))
const required = process.env.AUDITLB_INTEROP === 'required'

/** Starts an rsyslog on a free port, which writes each message to a file as it came. */
async function rsyslog(tls?: { readonly ca: string; readonly cert: string; readonly key: string }) {
  const dir = tempFolder()
  const at = (name: string): string => join(dir, name)
  for (const [name, pem] of Object.entries(tls ?? {})) writeFileSync(at(name), pem)
  const secure = ['CA', 'Cert', 'Key'].map((name) => `DefaultNetstreamDriver${name}File="${at(name.toLowerCase())}"`)
  writeFileSync(
    at('conf'),
    `global(workDirectory="${dir}" maxMessageSize="128k" ${tls === undefined ? '' : `DefaultNetstreamDriver="gtls" ${secure.join(' ')}`})
module(load="imtcp" ${tls === undefined ? '' : 'StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"'})
template(name="whole" type="string" string="%pri% %app-name% %procid% %msgid% %structured-data% %timestamp:::date-rfc3339%\\n%msg%\\n")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="${at('port')}")
action(type="omfile" file="${at('out')}" template="whole")
`,
  )
  const child = spawn(daemon, ['-n', '-f', at('conf'), '-i', at('pid')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (said += part))
  onTestFinished(() => ended(child))
  const port = await eventually(
    child,
    () => (existsSync(at('port')) ? Number(readFileSync(at('port'), 'utf8')) : 0),
    () => said,
  )
  // It writes the port down before it listens there.
  while (!(await connects(port))) await immediate()
  const rows = (): string[] => (existsSync(at('out')) ? readFileSync(at('out'), 'utf8').split('\n').slice(0, -1) : [])
  return {
    port,
    /** What has arrived, once it is so many messages. */
    arrived: (count: number) =>
      eventually(
        child,
        () => (rows().length >= count * 2 ? rows() : undefined),
        () => `${said}, and ${rows().length / 2} came`,
      ),
    said: () => said,
  }
}

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.end()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill()
  await gone
}

/** Waits for something to be there, as long as the daemon runs. */
async function eventually<T>(child: ChildProcess, ask: () => T, said: () => string): Promise<NonNullable<T>> {
  let found: T | undefined
  await until(() => {
    if (child.exitCode !== null) throw new Error(`rsyslogd ended with ${child.exitCode}: ${said()}`)
    found = ask()
    return Boolean(found)
  })
  return found as NonNullable<T>
}

/** A line of exactly so many bytes, with letters of all scripts. */
function lineOf(bytes: number, index: number) {
  const made = (filler: string) => batchOf([{ ...sample('app.shelved'), app: { text: `日本é😀${filler}` } }], index)
  return made('x'.repeat(bytes + 1 - made('').bytes))
}

async function delivered(options: Partial<SyslogSinkOptions>, server: Awaited<ReturnType<typeof rsyslog>>) {
  const sink = syslogSink({ host: '127.0.0.1', port: server.port, enterprise: 32473, ...options })
  const { write } = await fedInTime(sink)
  const every = batchOf([...samples.values()])
  const long = [16_384, 65_534, 65_535].map((bytes, i) => lineOf(bytes, every.lines.length + i))
  const many = batchOf(
    Array.from({ length: 2000 }, () => sample('request.completed')),
    every.lines.length + 3,
  )
  for (const batch of [every, ...long, many]) expect(await write(batch)).toBeUndefined()
  await sink.close!()
  const lines = [every, ...long, many].flatMap((batch) => batch.lines)
  expect(Buffer.byteLength(long[2]!.lines[0]!)).toBe(65_535)
  return { lines, rows: await server.arrived(lines.length) }
}

const runs = (name: string, possible: boolean, what: string, act: () => Promise<void>): void => {
  if (possible) it(name, act)
  else if (required)
    it(name, () => expect.fail(`AUDITLB_INTEROP is 'required', and there is no ${what}: apt-get install ${what}`))
  else it.skip(`${name}: there is no ${what} here`, () => undefined)
}

runs('lines arrive whole over TCP, and their headers are understood', present, 'rsyslog', async () => {
  const { lines, rows } = await delivered({}, await rsyslog())
  expect(rows.filter((_, i) => i % 2 === 1)).toEqual(lines)
  const heads = rows.filter((_, i) => i % 2 === 0)
  lines.forEach((line, i) => {
    const { audit, event_name, severity, time } = JSON.parse(line)
    const level = { 9: 6, 13: 4, 17: 3 }[severity as number]!
    expect(heads[i]).toBe(
      `${16 * 8 + level} demo host-1.0 ${event_name} [auditlb@32473 origin="${audit.origin}" index="${audit.index}"] ${time}`,
    )
  })
})

runs('lines arrive whole over TLS', hasTls, 'rsyslog-gnutls', async () => {
  const known = authority()
  const server = await rsyslog({ ca: known.cert, ...known.issue('IP:127.0.0.1') })
  known.remove()
  const { lines, rows } = await delivered({ transport: 'tls', tls: { ca: known.cert } }, server)
  expect(rows.filter((_, i) => i % 2 === 1)).toEqual(lines)
})

runs('a line whose escapes are many arrives byte for byte', present, 'rsyslog', async () => {
  const server = await rsyslog()
  const sink = syslogSink({ host: '127.0.0.1', port: server.port })
  const { write } = await fedInTime(sink)
  const text = '\u0000\n\t"\\\u2028%s%n]#012'.repeat(100)
  const batch = batchOf([{ ...sample('app.shelved'), app: { text } }])
  expect(await write(batch)).toBeUndefined()
  expect((await server.arrived(1))[1]).toBe(batch.lines[0])
  await sink.close!()
})
