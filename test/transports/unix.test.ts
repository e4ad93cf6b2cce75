// Backends at unix sockets: traffic, probes, records and changes.
import { existsSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { BalancerError } from '../../src/errors.ts'
import { closeAfterTest } from '../support/closing.ts'
import { edge } from '../support/edge.ts'
import { tempFolder } from '../support/folder.ts'
import { send } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

async function listening(server: Server): Promise<string> {
  const path = join(tempFolder(), 'app.sock')
  closeAfterTest(server)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return path
}

/** A backend at a unix socket, which answers with its name, the `Host` that it got, and what was sent. */
const at = (name: string): Promise<string> => {
  const answer: RequestListener = (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += String(chunk)
    })
    request.on('end', () => response.end(`${name} ${request.headers.host} ${body}`))
  }
  return listening(createServer(answer))
}

it('traffic goes to the socket, Host by the URL, and the record has the path for the address', async () => {
  const socketPath = await at('app')
  const { port, completed } = await edge([{ url: 'http://app.test:8080', options: { socketPath } }], {
    host: 'backend',
  })
  expect((await send(port, { method: 'POST', body: 'hello' })).body).toBe('app app.test:8080 hello')
  expect((await send(port)).body).toBe('app app.test:8080 ')
  const attempts = (await completed(2)).map(({ lb }) => lb.attempts[0]!)
  expect(attempts).toMatchObject([
    { backend: 'app.test:8080', address: socketPath, reused: false },
    { address: socketPath, reused: true },
  ])
  expect(attempts.map((attempt) => ['port' in attempt && attempt.port !== undefined, attempt.peer_address])).toEqual([
    [false, undefined],
    [false, undefined],
  ])
})

it('TLS is spoken over it where the URL says so, by the name of the URL', async () => {
  const pair = selfSigned('app.test')
  const socketPath = await listening(createHttpsServer(pair, (_request, response) => response.end('secure')))
  const tls = { ca: pair.cert }
  const { port } = await edge([{ url: 'https://app.test', options: { socketPath } }], { tls })
  expect((await send(port)).body).toBe('secure')
  const other = await edge([{ url: 'https://other.test', options: { socketPath } }], { tls })
  expect((await send(other.port)).status).toBe(502)
  expect((await other.one()).lb.result).toBe('certificate-refused')
})

it.each(['http', 'tcp'] as const)('probes by %s go to it', async (type) => {
  const socketPath = await at('app')
  const { balancer } = await edge([{ url: 'http://no.invalid', options: { socketPath } }], {
    health: { active: { type, intervalMs: 10, rise: 1 } },
  })
  await until(() => balancer.snapshot().backends[0]!.active === 'healthy')
})

it('a probe of another port goes to the host', async () => {
  const socketPath = await at('app')
  const health = createServer((_request, response) => response.end('well'))
  closeAfterTest(health)
  await new Promise<void>((resolve) => health.listen(0, '127.0.0.1', resolve))
  const { port } = health.address() as { port: number }
  const { balancer } = await edge([{ url: 'http://127.0.0.1', options: { socketPath } }], {
    health: { active: { port, body: 'well', intervalMs: 10, rise: 1 } },
  })
  await until(() => balancer.snapshot().backends[0]!.active === 'healthy')
})

it('with nobody there, or nothing, is a backend that cannot be reached', async () => {
  const path = join(tempFolder(), 'none.sock')
  const { port, one } = await edge([{ url: 'http://app.test', options: { socketPath: path } }])
  expect((await send(port)).status).toBe(502)
  expect((await one()).lb.attempts).toMatchObject([{ result: 'connect-failed', detail: 'ENOENT', address: path }])
})

it('another path is another connection, also under the same id and URL', async () => {
  const [first, second] = [await at('first'), await at('second')]
  const url = 'http://app.test'
  const { port, balancer } = await edge([{ url, options: { id: 'a', socketPath: first } }])
  expect((await send(port)).body).toMatch(/^first/)
  await balancer.as({ id: 't', type: 'user' }).update({ backends: [{ id: 'a', url, socketPath: second }] })
  expect((await send(port)).body).toMatch(/^second/)
  expect(existsSync(first)).toBe(true)
})

it.each([
  ['a relative path', 'app.sock'],
  ['no path', ''],
  ['a path that no system takes', `/${'x'.repeat(104)}`],
  ['a path with a NUL', '/run/a\0b'],
])('%s is refused', (_, socketPath) => {
  expect(() => watched({ backends: [{ url: 'http://app.test', socketPath }] })).toThrow(BalancerError)
})

it('two at one host need ids', () => {
  const two = ['/run/a.sock', '/run/b.sock'].map((socketPath) => ({ url: 'http://localhost', socketPath }))
  expect(() => watched({ backends: two })).toThrow('distinct ids')
  watched({ backends: two.map((one, i) => ({ ...one, id: `app-${i}` })) })
})
