// A backend that is killed under load, over and over: no GET fails that had not begun to be answered, a POST fails at most once,
// none is sent twice, and the record says what became of each.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { edge } from '../../support/edge.ts'
import { scaled } from '../../support/scale.ts'
import { hopBy, transports } from '../../support/transports.ts'

const program = join(import.meta.dirname, '..', '..', 'support', 'telling-backend-program.mjs')
const kills = scaled(20, 4)
const betweenKills = 400
const atOnce = 64

interface Killable {
  readonly child: ChildProcess
  readonly url: string
}

it.each(transports)('by %s', { timeout: 300_000 }, async (transport) => {
  /** How often each request came to any backend. */
  const got = new Map<string, number>()
  const startBackend = async (): Promise<Killable> => {
    const child = fork(program)
    onTestFinished(() => void child.kill('SIGKILL'))
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    child.on('message', ({ got: name }: { got: string }) => got.set(name, (got.get(name) ?? 0) + 1))
    return { child, url: `http://127.0.0.1:${port}` }
  }
  const backends = await Promise.all(Array.from({ length: 3 }, startBackend))
  const { port, balancer, completions } = await edge(
    backends.map(({ url }) => url),
    { ...hopBy(transport), strategy: 'power-of-two' },
  )
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce })
  onTestFinished(() => agent.destroy())

  interface Told {
    readonly status: number | undefined
    readonly whole: boolean
  }
  const told = new Map<string, Told>()
  const ask = (method: string, path: string): Promise<void> =>
    new Promise((resolve) => {
      const end = (one: Told): void => {
        told.set(`${method} ${path}`, one)
        resolve()
      }
      const headers = method === 'POST' ? { 'content-length': 4 } : {}
      const request = httpRequest({ port, agent, method, path, host: '127.0.0.1', headers }, (response) => {
        response.on('error', () => undefined)
        response.resume().on('close', () => end({ status: response.statusCode, whole: response.complete }))
      })
      request.on('error', () => end({ status: undefined, whole: false }))
      request.end(method === 'POST' ? 'body' : undefined)
    })

  let sent = 0
  let killed = 0
  const total = (kills + 1) * betweenKills
  const worker = async (): Promise<void> => {
    while (sent < total) {
      const i = sent++
      if (i > 0 && i % betweenKills === 0 && killed < kills) {
        const [victim] = backends.splice(0, 1)
        killed++
        victim!.child.kill('SIGKILL')
        void startBackend().then(async (fresh) => {
          backends.push(fresh)
          await balancer.as({ id: 'test', type: 'service' }).update({ backends: backends.map(({ url }) => url) })
        })
      }
      await ask(i % 3 === 0 ? 'POST' : 'GET', `/${i}`)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))

  const records = new Map(completions().map((event) => [`${event.http.request.method} ${event.url.path}`, event]))
  expect(records.size).toBe(total)
  expect(completions()).toHaveLength(total)
  const failed = { GET: 0, POST: 0 }
  for (const [name, { status, whole }] of told) {
    const { lb, http } = records.get(name)!
    if (status === 200 && whole) {
      expect(lb.result).toBe('ok')
      continue
    }
    failed[name.startsWith('GET') ? 'GET' : 'POST']++
    if (status === 200) {
      // It had begun: nothing but a cut was left.
      expect(lb.result).toBe('backend-cut')
    } else {
      expect(name).toMatch(/^POST/)
      expect(status).toBe(502)
      expect(http.response.status_code).toBe(502)
      expect(['backend-reset', 'connect-refused']).toContain(lb.result)
    }
  }
  for (const [name, times] of got) if (name.startsWith('POST')) expect([name, times]).toEqual([name, 1])
  process.stdout.write(
    `${transport}: ${killed} kills, ${total} requests, cut off or failed: ${JSON.stringify(failed)}\n`,
  )
  // Each kill meets no more than what was in flight.
  expect(failed.GET + failed.POST).toBeLessThanOrEqual(kills * atOnce)
})
