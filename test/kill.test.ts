// Ten thousand requests with a backend killed half way: nothing fails, every request has its line, and the log holds.
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createServer } from '../src/adapters/node.ts'
import { createBalancer } from '../src/balancer.ts'
import { queryLog } from '../src/log/query.ts'
import { fileSink } from '../src/sinks/file.ts'

const requests = 10_000
const program = join(import.meta.dirname, 'support', 'backend-program.mjs')
const cli = join(import.meta.dirname, '..', 'dist', 'cli.js')
const dir = mkdtempSync(join(tmpdir(), 'auditlb-kill-'))
const children: ChildProcess[] = []

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

async function startBackend(name: string): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(program, [name])
  children.push(child)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return { child, url: `http://127.0.0.1:${port}` }
}

const get = (port: number, agent: Agent, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request({ port, agent, path, host: '127.0.0.1' }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!))
      response.on('error', reject)
    })
    sent.on('error', reject).end()
  })

const verify = () => spawnSync(process.execPath, [cli, 'verify', dir], { encoding: 'utf8' })

describe('a backend that is killed under load', () => {
  const counts = new Map<string, number>()
  let completed = 0

  it('fails no GET', { timeout: 120_000 }, async () => {
    const backends = await Promise.all(['a', 'b', 'c'].map(startBackend))
    const balancer = createBalancer({
      name: 'kill',
      backends: backends.map(({ url }, i) => ({ id: 'abc'[i]!, url })),
      audit: { sinks: [fileSink({ dir })] },
    })
    await balancer.ready()
    balancer.audit.on('request.completed', () => {
      completed++
    })
    const server = createServer(balancer).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const agent = new Agent({ keepAlive: true, maxSockets: 64 })
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < requests) {
        const i = next++
        if (i === requests / 2) backends[1]!.child.kill('SIGKILL')
        const told = await get(port, agent, `/${i}`).catch((error: Error) => error.message)
        counts.set(String(told), (counts.get(String(told)) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 64 }, worker))
    agent.destroy()
    server.close()
    server.closeAllConnections()
    expect(await balancer.close()).toEqual({ undelivered: {} })
    expect(Object.fromEntries(counts)).toEqual({ 200: requests })
  })

  it('leaves exactly one line for each request, with each attempt', async () => {
    const paths = new Set<string>()
    let lines = 0
    let retried = 0
    for await (const event of queryLog(dir, { type: 'request.completed' })) {
      lines++
      const { url, lb } = event as unknown as {
        url: { path: string }
        lb: { result: string; attempts: { result: string }[] }
      }
      paths.add(url.path)
      expect(lb.result).toBe('ok')
      if (lb.attempts.length > 1) {
        retried++
        expect(lb.attempts[0]!.result).not.toBe('ok')
      }
    }
    expect({ lines, paths: paths.size, completed }).toEqual({ lines: requests, paths: requests, completed: requests })
    expect(retried).toBeGreaterThan(0)
  })

  it('leaves a log that verifies', () => {
    const { status, stdout } = verify()
    expect(stdout).toContain('holds, self-consistent, not authenticated')
    expect(status).toBe(0)
  })

  it('leaves a log in which one flipped byte is found and named', { timeout: 120_000 }, () => {
    const [instance] = readdirSync(dir)
    const segment = join(dir, instance!, 'traffic', 'segments', '0000000000000000.jsonl')
    const whole = readFileSync(segment)
    const line = 4321
    let at = 0
    for (let i = 0; i < line; i++) at = whole.indexOf(0x0a, at) + 1
    const end = whole.indexOf(0x0a, at)
    // The first and the last byte of the line, its end, and some between.
    for (const position of [at, at + 1, at + 100, Math.floor((at + end) / 2), end - 1, end]) {
      const tampered = Buffer.from(whole)
      tampered[position]! ^= 0x01
      writeFileSync(segment, tampered)
      const { status, stdout } = verify()
      expect(status).toBe(1)
      expect(stdout).toContain(`line ${line}:`)
    }
    writeFileSync(segment, whole)
    expect(verify().status).toBe(0)
  })
})
