// Runs every example, and the demo, as real processes.
import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { AuditEvent } from '../src/events.ts'
import { queryLog } from '../src/log/query.ts'
import { verifyLog } from '../src/log/verify.ts'
import { tempFolder } from './support/folder.ts'
import { http2Session, send2 } from './support/http2-client.ts'
import { type Script, startScript } from './support/script.ts'

const root = join(import.meta.dirname, '..')
const run = promisify(execFile)
const example = (name: string, env: Readonly<Record<string, string>> = {}): Script =>
  startScript(join(root, 'examples', `${name}.mjs`), { env: { PORT: '0', ...env } })
const origin = (script: Script, stream: 'stdout' | 'stderr' = 'stdout'): Promise<string> =>
  script.said(/listening on (http:\/\/[^;\s]+)[;\n]/, stream)

interface Answer {
  readonly backend: string
  readonly path: string
  readonly body: string
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { ...init, headers: { connection: 'close', ...init.headers } })
  expect(response.status).toBe(200)
  return (await response.json()) as Answer
}

async function count(dir: string, filters: Parameters<typeof queryLog>[1]): Promise<number> {
  let n = 0
  for await (const _ of queryLog(dir, filters)) n++
  return n
}

/** What a backend answers to a message over a WebSocket. */
async function heard(url: string, message: string): Promise<string> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'))
  await once(socket, 'open')
  socket.send(message)
  const [data] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  await once(socket, 'close')
  return data.toString()
}

const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' }

describe('the examples', () => {
  it('are all run here', () => {
    const names = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.mjs'))
    const tested = [
      'audit-only',
      'container',
      'custom-sink',
      'custom-strategy',
      'discovery',
      'express',
      'fastify',
      'https-http2',
      'mounts',
      'node-http',
      'pick-any-protocol',
      'refuse',
      'shared-trail',
      'sticky-canary',
      'tls-backend',
      'websocket',
      'witness',
    ]
    expect(names.sort()).toEqual(['backends', 'certificates', ...tested].map((name) => `${name}.mjs`).sort())
  })

  it('node-http spreads requests over both backends, and leaves a log that holds', async () => {
    const dir = join(tempFolder(), 'audit')
    const script = example('node-http', { AUDIT_DIR: dir })
    const url = await origin(script)
    const answers = [await ask(`${url}/x`), await ask(`${url}/y`)]
    expect(answers.map(({ backend }) => backend).sort()).toEqual(['b1', 'b2'])
    expect((await script.stop()).code).toBe(0)
    expect(await count(dir, { type: 'request.completed', status: '200' })).toBe(2)
    expect(await verifyLog(dir)).toMatchObject({
      ok: true,
      instances: [{ logs: [{ unsigned: 0 }, {}, { unsigned: 0 }] }],
    })
  })

  it('express serves its own path, and sends on a body that a parser has read', async () => {
    const dir = join(tempFolder(), 'audit')
    const script = example('express', { AUDIT_DIR: dir })
    const url = await origin(script)
    expect(await (await fetch(url, { headers: { connection: 'close' } })).text()).toBe('served by the app itself')
    expect(await ask(`${url}/api/x?y=1`, post)).toMatchObject({ path: '/x?y=1', body: '{"a":1}' })
    expect((await fetch(`${url}/api/admin`, { headers: { connection: 'close' } })).status).toBe(403)
    await expect(heard(`${url}/api/admin`, 'hello')).rejects.toThrow('403')
    expect((await script.stop()).code).toBe(0)
    expect(await count(dir, { type: 'access.denied', client: '127.0.0.1' })).toBe(2)
  })

  it('mounts has a line for each request of the app, whoever answered it', async () => {
    const dir = join(tempFolder(), 'audit')
    const script = example('mounts', { AUDIT_DIR: dir })
    const url = await origin(script)
    const close = { headers: { connection: 'close' } }
    expect(await (await fetch(`${url}/items/7`, close)).json()).toEqual({ item: '7' })
    expect((await ask(`${url}/orders/1`)).path).toBe('/1')
    expect(await ask(`${url}/payments/1`)).toMatchObject({ backend: 'p1', path: '/payments/1' })
    expect((await fetch(`${url}/payments/1`, { ...close, method: 'DELETE' })).status).toBe(404)
    expect(await heard(`${url}/chat/ann`, 'hello')).toMatch(/^c[12] heard hello$/)
    await expect(heard(`${url}/nowhere`, 'hello')).rejects.toThrow('404')
    expect((await script.stop()).code).toBe(0)
    const lines: unknown[] = []
    for await (const event of queryLog(dir, { type: 'request.completed' })) {
      const { lb, http } = event as unknown as AuditEvent<'request.completed'>
      lines.push([lb.pool, http.route, http.response.status_code])
    }
    expect(lines).toEqual([
      ['own', '/items/:id', 200],
      ['orders', '/orders', 200],
      ['payments', '/payments', 200],
      ['own', undefined, 404],
      ['chat', '/chat', 101],
      ['own', undefined, 404],
    ])
  })

  it('fastify serves its own path, and rewrites the prefix', async () => {
    const dir = join(tempFolder(), 'audit')
    const script = example('fastify', { AUDIT_DIR: dir })
    const url = await origin(script)
    const own = await fetch(url, { headers: { connection: 'close' } })
    expect([await own.text(), own.headers.get('x-served-by')]).toEqual(['served by the app itself', 'fastify'])
    const headers = { ...post.headers, authorization: 'Bearer secret' }
    expect(await ask(`${url}/api/x`, { ...post, headers })).toMatchObject({ path: '/v1/x', body: '{"a":1}' })
    expect((await fetch(`${url}/api/y`, { headers: { connection: 'close' } })).status).toBe(401)
    expect((await script.stop()).code).toBe(0)
    expect(await count(dir, { path: '/v1/x' })).toBe(1)
    // The page of the app itself, and what its hook refused.
    expect(await count(dir, { path: '/' })).toBe(1)
    expect(await count(dir, { path: '/api/y' })).toBe(1)
  })

  it('audit-only has the routes of the app and those of a balancer in one log', async () => {
    const dir = join(tempFolder(), 'audit')
    const script = example('audit-only', { AUDIT_DIR: dir })
    const url = await origin(script)
    const own = await fetch(url, { headers: { connection: 'close' } })
    expect(await own.text()).toBe('served by the app itself')
    expect(await ask(`${url}/orders/1`)).toMatchObject({ path: '/orders/1' })
    expect((await script.stop()).code).toBe(0)
    expect(await count(dir, { type: 'request.completed', pool: 'shop' })).toBe(1)
    expect(await count(dir, { type: 'request.completed', pool: 'orders' })).toBe(1)
  })

  it('https-http2 speaks HTTP/2', async () => {
    const dir = join(tempFolder(), 'audit')
    const script = example('https-http2', { AUDIT_DIR: dir })
    const port = Number(await script.said(/listening on https:\/\/127\.0\.0\.1:(\d+)\n/))
    const session = http2Session(port, true)
    const { status, body } = await send2(session, { ':path': '/x' })
    expect([status, JSON.parse(body)]).toMatchObject([200, { path: '/x' }])
    session.destroy()
    expect((await script.stop()).code).toBe(0)
    expect(await count(dir, { type: 'request.completed', path: '/x' })).toBe(1)
  })

  it('container writes a log that holds, without a disk', async () => {
    const script = example('container')
    const url = await origin(script, 'stderr')
    const long = { headers: { connection: 'close', 'user-agent': 'x'.repeat(1000), accept: 'y'.repeat(1000) } }
    for (let i = 0; i < 5; i++) expect((await fetch(`${url}/${i}`, long)).status).toBe(200)
    const { code, stdout } = await script.stop()
    expect(code).toBe(0)
    const verify = (log: string) =>
      spawnSync(process.execPath, [join(root, 'dist', 'cli.js'), 'verify', '-'], { input: log, encoding: 'utf8' })
    expect(verify(stdout)).toMatchObject({ status: 0 })
    expect(stdout.match(/"event_name":"request.completed"/g)).toHaveLength(5)
    expect(verify(stdout.replace('"path":"/3"', '"path":"/8"'))).toMatchObject({ status: 1 })
  })

  it('container signs by a key whose verifier key was kept beforehand, by the commands of the documentation', async () => {
    const doc = readFileSync(join(root, 'docs', 'sinks.md'), 'utf8')
    const [, make, ...verify] = /```sh\n(openssl genpkey[\s\S]*?log\.vkey\n)(docker logs web [\s\S]*?)```/.exec(doc)!
    expect(verify).toEqual(['docker logs web | npx auditlb verify - --vkey log.vkey\n'])
    const dir = tempFolder()
    mkdirSync(join(dir, 'node_modules'))
    symlinkSync(root, join(dir, 'node_modules', 'auditlb'))
    expect(spawnSync('sh', ['-c', make!], { cwd: dir }).status).toBe(0)
    expect(readFileSync(join(dir, 'log.vkey'), 'utf8')).toMatch(/^edge\/web\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}\n$/)
    const logOf = async (env: Readonly<Record<string, string>>): Promise<string> => {
      const script = example('container', env)
      expect((await fetch(await origin(script, 'stderr'), { headers: { connection: 'close' } })).status).toBe(200)
      return (await script.stop()).stdout
    }
    const check = (input: string) =>
      spawnSync(process.execPath, [join(root, 'dist', 'cli.js'), 'verify', '-', '--vkey', 'log.vkey'], {
        cwd: dir,
        input,
        encoding: 'utf8',
      })
    const kept = { LOG_KEY: join(dir, 'log.key') }
    const ours = `${await logOf(kept)}${await logOf(kept)}`
    expect(check(ours)).toMatchObject({ status: 0, stdout: expect.stringMatching(/authenticated by the given key\n$/) })
    expect(check(await logOf({}))).toMatchObject({ status: 1, stdout: expect.stringMatching(/does not hold\n$/) })
  })

  it('custom-sink gets every line that it asks for, also of a batch that it did not accept at first', async () => {
    const { code, stdout } = await example('custom-sink').ended
    expect(code).toBe(0)
    const refused = /not accepted: (lines \d+ to \d+ of \w+)/.exec(stdout)![1]!
    expect(stdout).toContain(`accepted: ${refused},`)
    expect(stdout).toContain('10 picks recorded, undelivered: {}')
    expect(stdout).toMatch(/^checkpoint: \d+ lines of traffic$/m)
    expect(stdout).toContain(
      'kinds of events: balancer.draining, balancer.started, balancer.stopped, route.picked, route.released\n',
    )
  })

  it('custom-strategy keeps each user on one backend', async () => {
    const script = example('custom-strategy')
    const url = await origin(script)
    const users = Array.from({ length: 12 }, (_, i) => `user-${i}`)
    const places = async (): Promise<string[]> => {
      const answers: Answer[] = []
      for (const user of users) answers.push(await ask(url, { headers: { 'x-user': user } }))
      return answers.map(({ backend }) => backend)
    }
    const first = await places()
    expect(await places()).toEqual(first)
    expect(new Set(first).size).toBeGreaterThan(1)
    const { code, stdout } = await script.stop()
    expect([code, stdout.match(/"reason":"custom","snapshot":1,"strategy":"by-user"/g)?.length]).toEqual([0, 24])
  })

  it('discovery follows a file and a source of its own, and keeps the last good set', async () => {
    const { code, stdout } = await example('discovery').ended
    expect([code, stdout.split('\n').slice(2)]).toEqual([
      0,
      [
        'joined: b2 from file, 3 in the pool',
        'failed: file, invalid at backends[0].wieght, 2 kept',
        'left: b1 from file, 2 in the pool',
        'b2, b3',
        'answered with 200',
        '',
      ],
    ])
    // Which of the two sources is first is chance.
    expect(stdout).toContain('joined: b1 from file')
    expect(stdout).toContain('joined: b3 from iterable')
  })

  it('pick-any-protocol carries bytes both ways, and records pick and release', async () => {
    const script = example('pick-any-protocol')
    const port = Number(await script.said(/listening on tcp:\/\/127\.0\.0\.1:(\d+)\n/))
    const socket = connect(port, '127.0.0.1', () => socket.end('hello'))
    let answer = ''
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text
    })
    await once(socket, 'close')
    expect(answer).toMatch(/^b[12]: hello$/)
    await script.said(/"event_name":"route.released"/)
    const { code, stdout } = await script.stop()
    expect([code, stdout.match(/"event_name":"route\.(picked|released)"/g)?.length]).toEqual([0, 2])
  })

  it('shared-trail has two pools and the service itself in one log', async () => {
    const dir = join(tempFolder(), 'audit')
    const { code, stdout } = await example('shared-trail', { AUDIT_DIR: dir }).ended
    expect(code).toBe(0)
    for (const line of ['3 orders route.picked', '1 payments config.changed', '1 shop app.stock.counted'])
      expect(stdout).toContain(`${line}\n`)
    expect(stdout).toMatch(/the log of \S+ holds/)
  })

  it('sticky-canary sends a few clients to the new version, and keeps everybody where they were', async () => {
    const { code, stdout } = await example('sticky-canary').ended
    expect(code).toBe(0)
    const served = [...stdout.matchAll(/^(\d+) clients were served by (.*)$/gm)].map(([, n, names]) => [
      names,
      Number(n),
    ])
    expect(served.map(([names]) => names)).toEqual(['new-1', 'old-1', 'old-2'])
    expect(stdout.match(/^\d+ requests: .*$/gm)).toEqual([
      '200 requests: sticky-kept, as before',
      `${served[0]![1]} requests: sticky-new, canary`,
      `${100 - (served[0]![1] as number)} requests: sticky-new, stable`,
    ])
  })
})

describe('tls-backend', () => {
  it('is served by the backend that is what it says it is, and by no other', async () => {
    const { code, stdout, stderr } = await example('tls-backend').ended
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.match(/^200 from good$/gm)).toHaveLength(3)
    expect(stdout).toContain('stranger certificate-refused UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    expect(stdout).toContain('misnamed certificate-refused ERR_TLS_CERT_ALTNAME_INVALID')
    expect(stdout).toMatch(/^TLS 1\.3: .*good ok$/m)
  })
})

describe('websocket', () => {
  it('spreads tunnels over both backends, and tells what each has carried', async () => {
    const { code, stdout, stderr } = await example('websocket').ended
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.match(/^opened: websocket to b[12]$/gm)).toHaveLength(3)
    expect(stdout).toContain('3 tunnels: 1,2\n')
    expect(stdout.match(/^b[12] heard (ann|bob|cem)$/gm)).toHaveLength(3)
    expect(stdout.match(/^closed: \/chat\/(ann|bob|cem) by the backend, \d+ bytes in, \d+ bytes out$/gm)).toHaveLength(
      3,
    )
  })
})

describe('the demo', () => {
  it('comes out as it should, and the commands that it names work', { timeout: 60_000 }, async () => {
    const dir = join(tempFolder(), 'audit')
    const script = startScript(join(root, 'examples', 'demo', 'demo.mjs'), { args: [dir], cwd: root })
    const { code, stdout, stderr } = await script.ended
    expect({ code, stderr, failed: stdout.match(/DOES NOT HOLD.*/g) }).toEqual({ code: 0, stderr: '', failed: null })
    for (const fact of ['b2 active healthy -> unhealthy', '/backends/b1/weight: 1 -> 3', 'refused by access.deny'])
      expect(stdout).toContain(fact)
    const commands = stdout.match(/node \S*dist\/cli\.js .*/g) ?? []
    expect(commands).toHaveLength(3)
    const outputs: string[] = []
    for (const command of commands) outputs.push((await run('sh', ['-c', command], { cwd: root })).stdout)
    expect(outputs[0]).toContain('holds, self-consistent')
    expect(outputs[1]!.match(/config\.changed/g)).toHaveLength(4)
    expect(outputs[2]!.match(/"event_name":"access\.denied"/g)).toHaveLength(3)
  })

  it('refuse has both lines of a request on disk when its response is complete', async () => {
    const dir = join(tempFolder(), 'audit')
    const { code, stdout } = await example('refuse', { AUDIT_DIR: dir }).ended
    expect({ code, stdout }).toEqual({ code: 0, stdout: '200 request.received request.completed\n' })
    expect(await verifyLog(dir)).toMatchObject({ ok: true })
  })

  it('witness names a folder that was rolled back', async () => {
    const dir = join(tempFolder(), 'work')
    const script = example('witness', { AUDIT_DIR: dir })
    const { code, stdout } = await script.ended
    expect(code).toBe(0)
    expect(stdout).toContain('the folder of the node: exit code 0, holds')
    expect(stdout).toContain('the folder of the witness: exit code 0, holds')
    expect(stdout).toContain('rolled back, by itself: exit code 0, holds')
    expect(stdout).toContain('rolled back, with the roster: exit code 1, does not hold')
    expect(await count(join(dir, 'witness'), { type: 'app.done' })).toBe(2)
    expect(await count(join(dir, 'audit'), { type: 'app.done' })).toBe(1)
  })
})
