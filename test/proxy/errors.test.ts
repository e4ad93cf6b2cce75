// What a client gets when its request cannot be served, and what the record says of it.
import { spawn } from 'node:child_process'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { answering, httpBackend, refusing, saying, silent } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { type Edge, edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

async function fails({ port, one }: Edge, status: number, result: string) {
  const reply = await send(port)
  expect(reply).toMatchObject({ status, complete: true, headers: { 'content-type': 'application/json' } })
  const event = await one()
  expect(event).toMatchObject({ lb: { result }, http: { response: { status_code: status } }, outcome: 'failure' })
  expect(JSON.parse(reply.body)).toMatchObject({ error: { code: result, request_id: event.lb.request_id } })
  expect(reply.headers['x-request-id']).toBe(event.lb.request_id)
  return { event, reply }
}

describe('a backend', () => {
  it('that refuses the connection: 502', async () => {
    const { event } = await fails(await edge([await refusing()]), 502, 'connect-refused')
    expect(event.lb).toMatchObject({
      ended_by: 'backend',
      detail: 'ECONNREFUSED',
      attempts: [{ result: 'connect-refused' }],
    })
    expect(event.lb.attempts[0]).not.toHaveProperty('status_code')
  })

  it('whose name does not resolve: 502', async () => {
    await fails(await edge(['http://no-such-host.invalid:80']), 502, 'dns-failed')
  })

  it('that does not take the connection in time: 504', async () => {
    // A listener whose thread is blocked takes connections until its backlog is full; the system then ignores further ones.
    const program = `const s = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, s.address().port + '\\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const port = await new Promise<number>((resolve) =>
      child.stdout.once('data', (data: Buffer) => resolve(Number(data))),
    )
    const fillers = Array.from({ length: 16 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
    onTestFinished(() => {
      for (const socket of fillers) socket.destroy()
    })
    await until(() => fillers.filter((socket) => !socket.connecting).length >= 1)
    await fails(await edge([`http://127.0.0.1:${port}`], { timeouts: { connectMs: 500 } }), 504, 'connect-timeout')
  })

  it('that closes the connection before its response: 502', async () => {
    await fails(await edge([await silent('fin')]), 502, 'backend-reset')
    await fails(await edge([await silent('reset')]), 502, 'backend-reset')
  })

  it('that stalls before its response: 504', async () => {
    await fails(
      await edge([await httpBackend(() => undefined)], { timeouts: { headerMs: 300 } }),
      504,
      'header-timeout',
    )
  })

  it('that stalls within its response: the client is cut off', async () => {
    const backend = await httpBackend((_request, response) =>
      response.writeHead(200, { 'content-length': 10 }).write('half.'),
    )
    const { port, one } = await edge([backend], { timeouts: { bodyIdleMs: 300 } })
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.ended).toBe('reset')
    expect(await one()).toMatchObject({
      lb: { result: 'body-timeout', ended_by: 'backend', attempts: [{ result: 'body-timeout', status_code: 200 }] },
      http: { response: { status_code: 200, body: { size: 5 } } },
    })
  })

  for (const [name, text] of Object.entries({
    garbage: 'SSH-2.0-OpenSSH_9.6\r\n',
    'a status below 100': 'HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok',
    'a status below 100 and no body': 'HTTP/1.1 099 Odd\r\n\r\n',
    'a status above 999': 'HTTP/1.1 1234 Odd\r\nContent-Length: 0\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
    'a length and chunks': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a control character in a header': 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n',
    'a NUL in a header': 'HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n',
    'a head of 64 KB': `HTTP/1.1 200 OK\r\nX-A: ${'x'.repeat(65_536)}\r\nContent-Length: 0\r\n\r\n`,
  })) {
    it(`that answers with ${name}: 502`, async () => {
      await fails(await edge([await saying(text)]), 502, 'response-invalid')
    })
  }

  it('that switches protocols unasked: 502', async () => {
    const { port, one } = await edge([
      await saying('HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
    ])
    expect(await send(port)).toMatchObject({ status: 502 })
    expect(await one()).toMatchObject({ lb: { ended_by: 'backend' } })
  })

  it('whose certificate is not trusted: 502', async () => {
    const server = createHttpsServer(selfSigned(), (_request, response) => response.end('never'))
    closeAfterTest(server)
    const port = await listen(server)
    await fails(await edge([`https://localhost:${port}`]), 502, 'certificate-refused')
    await fails(await edge([`https://127.0.0.1:${port}`]), 502, 'certificate-refused')
  })

  it('that does not speak TLS: 502', async () => {
    await fails(await edge([`https://localhost:${await plain()}`]), 502, 'tls-failed')
  })

  it('whose reason phrase no client could be sent gets the usual one', async () => {
    const { port } = await edge([await saying('HTTP/1.1 200 caf\xe9\r\nContent-Length: 2\r\n\r\nok')])
    expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
  })
})

/** A port that answers every connection with plain text at once. */
async function plain(): Promise<number> {
  const server = createServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
  closeAfterTest(server)
  return listen(server)
}

describe('without a backend', () => {
  it('that is eligible: 503, with Retry-After', async () => {
    const { reply, event } = await fails(await edge([]), 503, 'no-backend')
    expect(reply.headers['retry-after']).toBe('1')
    expect(event.lb).toMatchObject({
      ended_by: 'balancer',
      attempts: [],
      decision: { reason: 'none-eligible', candidates: 0 },
    })
  })

  it('that has a connection to spare: 503 when the queue is full, 503 when its time is over', async () => {
    const busy = await httpBackend(() => undefined)
    const clock = fakeClock()
    const { port, completed, completions } = await edge([busy], {
      clock,
      connections: { max: 1, queue: 1, queueTimeoutMs: 300 },
    })
    const first = await rawClient(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => busy.accepted() === 1)
    const replies = [send(port), send(port)]
    await until(() => completions().length === 1)
    clock.advance(300)
    const [second, third] = await Promise.all(replies)
    for (const reply of [second, third]) expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    first.socket.destroy()
    const events = await completed(3)
    expect(events.map(({ lb }) => lb.result)).toEqual(['queue-full', 'queue-timeout', 'client-gone'])
    expect(events.map(({ lb }) => lb.attempts.length)).toEqual([1, 1, 1])
  })
})

describe('a balancer that closes', () => {
  it('refuses new requests with 503, lets those in flight end, and closes their connections', async () => {
    let answer: (() => void) | undefined
    const backend = await httpBackend((_request, response) => {
      answer = () => void response.end('done')
    })
    const { port, balancer, completions } = await edge([backend])
    const client = await rawClient(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => answer !== undefined)
    const closed = balancer.close({ deadlineMs: 5000 })
    const reply = await send(port)
    expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } })
    answer!()
    await client.ended
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\nconnection: close\r\n[\s\S]*done/)
    await closed
    expect(completions().map(({ lb }) => lb.result)).toEqual(['closing', 'ok'])
  })

  it('cuts off what is not done in time, and blames nobody else', async () => {
    const backend = await httpBackend((request, response) => void (request.url === '/2' && response.write('part')))
    const { port, balancer, completions } = await edge([backend], { connections: { max: 2 } })
    const clients = await Promise.all(
      ['/1', '/2', '/3'].map((path) => rawClient(port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)),
    )
    await until(
      () =>
        backend.accepted() === 2 &&
        clients.some((client) => client.text().includes('part')) &&
        balancer.snapshot().inFlight === 3,
    )
    await balancer.close({ deadlineMs: 0 })
    await Promise.all(clients.map((client) => client.ended))
    const seen = clients.map((client) => client.text().slice(9, 12)).sort()
    expect(seen).toEqual(['200', '503', '503'])
    expect(completions().map(({ lb }) => [lb.result, lb.ended_by])).toEqual(Array(3).fill(['closing', 'balancer']))
    expect(balancer.snapshot()).toMatchObject({ inFlight: 0, backends: [{ failures: 0 }] })
    expect(backend.accepted()).toBe(2)
  })
})

describe('an answer of ours to HEAD', () => {
  it('has no body, and the length of one', async () => {
    const { port } = await edge([])
    const reply = await send(port, { method: 'HEAD' })
    expect(reply).toMatchObject({ status: 503, body: '' })
    expect(Number(reply.headers['content-length'])).toBeGreaterThan(0)
  })
})

describe('a pool whose configuration comes back', () => {
  it('serves again', async () => {
    const { port, balancer, completed } = await edge([])
    expect(await send(port)).toMatchObject({ status: 503 })
    await balancer.as({ id: 'test', type: 'system' }).addBackend((await answering()).url)
    expect(await send(port)).toMatchObject({ status: 200 })
    await completed(2)
  })
})
