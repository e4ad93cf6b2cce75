// Four workers on one folder, one of them killed, all of them reloaded while they still serve: each writes a log of its own, and every
// request that was answered is in one of them, once.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, type RequestOptions, request as send } from 'node:http'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { verifyLog } from '../../../src/log/verify.ts'
import { host } from '../../../src/runtime.ts'
import { httpBackend } from '../../support/backends.ts'
import { tempFolder } from '../../support/folder.ts'
import { scaled } from '../../support/scale.ts'
import { until } from '../../support/until.ts'

const rounds = scaled(10, 1)
const connections = 24
/** Answers between what happens, so that each worker has some. */
const stretch = scaled(400, 200)
const workers = 4

interface Ready {
  readonly pid: number
  readonly instance: string
  readonly boot: string
  readonly port: number
}
interface Line {
  readonly audit: { readonly boot_id: string; readonly index: number }
  readonly event_name: string
  readonly lb: { readonly request_id: string }
  readonly log: { readonly unsigned_lines?: number }
  readonly url: { readonly path: string }
}

it('each writes its own, and all hold together', { timeout: 600_000 }, async () => {
  const dir = tempFolder()
  const held: (() => void)[] = []
  const backend = await httpBackend((request, response) => {
    request.resume()
    if (request.url!.startsWith('/held')) held.push(() => response.end())
    else response.end('x'.repeat(200))
  })
  const primary = fork(join(import.meta.dirname, '../../support/cluster-program.mjs'), [dir, backend.url])
  onTestFinished(() => void primary.kill('SIGKILL'))
  const began: Ready[] = []
  const gone = new Map<number, string | number>()
  primary.on(
    'message',
    (told: { ready?: Ready; gone?: { pid: number; code: number | null; signal: string | null } }) => {
      if (told.ready !== undefined) began.push(told.ready)
      if (told.gone !== undefined) gone.set(told.gone.pid, told.gone.signal ?? told.gone.code!)
    },
  )
  const beganAll = async (count: number): Promise<Ready[]> => {
    await until(() => began.length === count)
    return began.slice(-workers)
  }
  let serving = await beganAll(workers)
  const { port } = serving[0]!
  const slots = (from: number): string[] => [0, 1, 2, 3].map((slot) => `${host()}.${from + slot}`)
  expect(serving.map(({ instance }) => instance).toSorted()).toEqual(slots(0))

  /** Path of each request that was answered to its end, by its id. */
  const answered = new Map<string, string>()
  const statuses = { 200: 0, 503: 0, none: 0 }
  const ask = (path: string, options: RequestOptions): Promise<void> =>
    new Promise((resolve) => {
      const none = (): void => {
        statuses.none++
        resolve()
      }
      const asked = send({ port, path, host: '127.0.0.1', ...options }, (response) => {
        response.resume().on('error', () => undefined)
        response.on('close', () => {
          if (!response.complete) return none()
          answered.set(String(response.headers['x-request-id']), path)
          statuses[response.statusCode as 200 | 503]++
          resolve()
        })
      })
      asked.on('error', none).end()
    })
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  onTestFinished(() => agent.destroy())
  let loading = true
  let sent = 0
  const load = Promise.all(
    Array.from({ length: connections }, async () => {
      while (loading) await ask(`/${sent++}`, { agent })
    }),
  )
  const more = (): Promise<void> => {
    const wanted = answered.size + stretch
    return until(() => answered.size >= wanted)
  }

  let reloads = 0
  /** The next four serve before the last four leave, which they do not while one of their requests is open. */
  const reload = async (from: number): Promise<void> => {
    const old = serving
    const holding = Promise.all(
      Array.from({ length: workers * 2 }, (_, i) => ask(`/held/${reloads}/${i}`, { agent: false })),
    )
    reloads++
    await until(() => held.length === workers * 2)
    primary.send('reload')
    serving = await beganAll(began.length + workers)
    expect(serving.map(({ instance }) => instance).toSorted()).toEqual(slots(from))
    await more()
    expect(old.filter(({ pid }) => gone.has(pid))).toEqual([])
    for (const release of held.splice(0)) release()
    await holding
    await until(() => old.every(({ pid }) => gone.has(pid)))
    expect(old.map(({ pid }) => gone.get(pid))).toEqual(old.map(() => 0))
  }

  const killed: { readonly victim: Ready; readonly heir: Ready }[] = []
  for (let round = 0; round < rounds; round++) {
    if (round > 0) await reload(0)
    await more()
    const victim = serving[round % workers]!
    process.kill(victim.pid, 'SIGKILL')
    const heir = (await beganAll(began.length + 1)).at(-1)!
    expect([heir.instance, gone.get(victim.pid)]).toEqual([victim.instance, 'SIGKILL'])
    killed.push({ victim, heir })
    serving = [...serving.filter((one) => one !== victim), heir]
    await more()
    await reload(workers)
  }
  await more()
  loading = false
  primary.send('close')
  const [code] = await once(primary, 'exit')
  // Not before: a connection whose worker died while it was handed over is open as long as Node's primary is.
  await load
  expect([code, began.map(({ pid }) => gone.get(pid)).filter((end) => end !== 0)]).toEqual([
    0,
    killed.map(() => 'SIGKILL'),
  ])

  const logged = new Map<string, string>()
  const writers = new Map<string, string>()
  const recovered = new Map<string, number>()
  for (const instance of readdirSync(dir)) {
    for (const log of ['traffic', 'security', 'control']) {
      const segments = join(dir, instance, log, 'segments')
      const text = readdirSync(segments)
        .sort()
        .map((name) => readFileSync(join(segments, name), 'utf8'))
      const lines = text
        .join('')
        .split('\n')
        .slice(0, -1)
        .map((line): Line => JSON.parse(line))
      expect(lines.map(({ audit }) => audit.index)).toEqual(lines.map((_, i) => i))
      for (const [i, { audit, event_name, lb, log: facts, url }] of lines.entries()) {
        const { boot_id: boot } = audit
        // One process after the other, and each in one instance only.
        if (boot !== lines[i - 1]?.audit.boot_id) {
          expect(writers.get(`${log} ${boot}`)).toBeUndefined()
          writers.set(`${log} ${boot}`, instance)
        }
        if (event_name === 'audit.recovered' && log === 'traffic') recovered.set(boot, facts.unsigned_lines!)
        if (event_name !== 'request.completed') continue
        expect(logged.get(lb.request_id)).toBeUndefined()
        logged.set(lb.request_id, url.path)
      }
    }
  }
  for (const { boot, instance } of began) expect(writers.get(`control ${boot}`)).toBe(instance)
  const heirs = killed.map(({ heir }) => heir.boot)
  expect([...recovered.keys()].toSorted()).toEqual(heirs.toSorted())
  for (const lines of recovered.values()) expect(lines).toBeGreaterThan(0)
  expect([...answered].filter(([id, path]) => logged.get(id) !== path)).toEqual([])

  const report = await verifyLog(dir)
  expect(
    report.instances.flatMap(({ logs, problems }) => [...problems, ...logs.flatMap((log) => log.problems)]),
  ).toEqual([])
  expect(report).toMatchObject({
    ok: true,
    instances: [...slots(0), ...slots(workers)].map((instance) => ({ instance })),
  })
  expect(report.instances.flatMap(({ logs }) => logs.map(({ unsigned }) => unsigned)).filter((n) => n !== 0)).toEqual(
    [],
  )
  console.log(
    `${killed.length} kills, ${reloads} reloads, ${began.length} workers: ${answered.size} answered, ${JSON.stringify(statuses)}, ${logged.size} logged`,
  )
})
