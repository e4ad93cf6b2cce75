// The calls to the system that a balancer makes, in their order: what `group` and `refuse` promise of the disk, seen from outside.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { httpBackend } from '../../support/backends.ts'
import { tempFolder } from '../../support/folder.ts'
import { scaled } from '../../support/scale.ts'
import { type Call, callsOf, noStrace } from '../../support/strace.ts'
import { until } from '../../support/until.ts'

const program = join(import.meta.dirname, '..', '..', 'support', 'served-balancer-program.mjs')
const traced = 'trace=write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fdatasync,fsync'
const connections = 4
const perConnection = scaled(200, 15)

/** Asks over some connections at once, and resolves with the calls that this made the balancer do, and our ids by path. */
async function callsFor(durability: string, whenUnavailable: string) {
  const backend = await httpBackend((incoming, response) => {
    const nth = Number(incoming.url!.slice(2))
    if (nth % 4 === 0) return void response.end(`whole ${nth}`)
    if (nth % 4 === 1) return void response.writeHead(204).end()
    if (nth % 4 === 2) return void response.destroy()
    response.write(`begin ${nth}`)
    setImmediate(() => response.end('end'))
  })
  const dir = tempFolder()
  const output = join(dir, 'calls')
  const options = JSON.stringify({ backend: backend.url, dir: join(dir, 'audit'), durability, whenUnavailable })
  const args = ['-f', '-qq', '-y', '-s', '1000000', '-o', output, '-e', traced, process.execPath, program, options]
  const env = { ...process.env, UV_USE_IO_URING: '0' }
  const child = spawn('strace', args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
  })
  await until(() => out.includes('\n'))
  const port = Number(out.slice('listening '.length))
  const ids = new Map<string, string>()
  const connection = async (_: unknown, place: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; i < perConnection; i++) {
      const path = `/r${i * connections + place}`
      await new Promise<void>((resolve, reject) => {
        const sent = request({ agent, port, path, host: '127.0.0.1' }, (response) => {
          ids.set(path, String(response.headers['x-request-id']))
          response.resume().on('end', resolve).on('error', reject)
        })
        sent.on('error', reject).end()
      })
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: connections }, connection))
  child.stdin.write('stop\n')
  await new Promise((resolve) => child.on('close', resolve))
  return { calls: callsOf(readFileSync(output, 'utf8')), ids }
}

/** When a line of this event and this path was on the disk: an fsync that began behind the write of it had come back. */
function onDisk(calls: readonly Call[], name: string, path: string): number {
  const has = (line: string): boolean => line.includes(`"event_name":"${name}"`) && line.includes(`"path":"${path}"`)
  const written = calls.find((one) => one.name.startsWith('pwrite') && one.text.split('\n').some(has))
  if (written === undefined || written.result <= 0) return Infinity
  const synced = calls.find(
    (one) =>
      /^f(data)?sync$/.test(one.name) && one.file === written.file && one.begun > written.over && one.result === 0,
  )
  return synced?.over ?? Infinity
}

const isSend = ({ name, file }: Call): boolean =>
  /^(write|writev|sendto|sendmsg)$/.test(name) && file.startsWith('socket')

/** By our id: the call that sent the last byte of each response. */
function lastSends(calls: readonly Call[]): Map<string, Call> {
  const found = new Map<string, Call>()
  const current = new Map<string, string>()
  for (const call of calls.filter(isSend)) {
    const [, id] = /^HTTP\/1\.1 .*?\r\nx-request-id: (\S+)\r\n/is.exec(call.text) ?? []
    if (id !== undefined) current.set(call.file, id)
    const open = current.get(call.file)
    if (open !== undefined) found.set(open, call)
  }
  return found
}

const firstAsk = (calls: readonly Call[], path: string): Call | undefined =>
  calls.find((call) => isSend(call) && call.text.startsWith(`GET ${path} HTTP/1.1\r\n`))

describe.skipIf(noStrace)('calls to the system', () => {
  it.each(['drop', 'refuse'])(
    'group, %s: each last byte leaves when the line is on the disk',
    async (whenUnavailable) => {
      const { calls, ids } = await callsFor('group', whenUnavailable)
      const last = lastSends(calls)
      expect(ids.size).toBe(connections * perConnection)
      for (const [path, id] of ids) {
        expect(onDisk(calls, 'request.completed', path), path).toBeLessThan(last.get(id)!.begun)
        if (whenUnavailable === 'refuse')
          expect(onDisk(calls, 'request.received', path), path).toBeLessThan(firstAsk(calls, path)!.begun)
      }
    },
  )

  // Without what it waits for the order is another one: so this is how the tests above would fail.
  it('interval: they leave before', async () => {
    const { calls, ids } = await callsFor('interval', 'drop')
    const last = lastSends(calls)
    const early = [...ids].filter(([path, id]) => onDisk(calls, 'request.completed', path) > last.get(id)!.begun)
    expect(early.length).toBeGreaterThan(0)
    for (const [path] of ids) expect(firstAsk(calls, path)).toBeDefined()
  })
})
