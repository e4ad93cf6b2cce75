// Requests that reach the balancer late, after something asynchronous: the client may have left, or somebody may have answered.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { answering, rawBackend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

type Before = (request: IncomingMessage, response: ServerResponse, go: () => void) => void

/** A server in which something runs before the balancer. */
async function serverAfter(before: Before, backends: Parameters<typeof recorded>[0]['backends'], options = {}) {
  const record = recorded({ backends, ...options })
  const server = createServer((request, response) =>
    before(request, response, () => record.balancer.port.handle(request, response)),
  )
  closeAfterTest(server)
  return { ...record, port: await listen(server) }
}

describe('a client that left before its request reached the balancer', () => {
  it('has its record, and nothing is forwarded for it', async () => {
    const backend = await answering()
    const { port, completed, balancer } = await serverAfter(
      (_request, response, go) => response.once('close', () => setImmediate(go)),
      [backend],
      { access: { deny: ['127.0.0.0/8'] } },
    )
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => rawClient(port, 'DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n')),
    )
    for (const { socket } of clients) socket.resetAndDestroy()
    const events = await completed(10)
    expect(events.map(({ lb, http }) => [lb.result, lb.attempts.length, http.response.status_code])).toEqual(
      Array.from({ length: 10 }, () => ['client-gone', 0, 499]),
    )
    expect(backend.seen).toEqual([])
    expect(balancer.snapshot().inFlight).toBe(0)
  })
})

describe('an empty chunked body that has run out before', () => {
  it('is sent on as empty', async () => {
    const backend = await answering()
    const { port, one } = await serverAfter((request, _response, go) => request.on('end', go).resume(), [backend])
    const text = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    const client = await rawClient(port, text)
    await client.has('200 OK')
    expect((await one()).lb.result).toBe('ok')
    expect(backend.seen[0]).toMatchObject({ method: 'POST', body: '' })
  })
})

describe('a response that somebody else', () => {
  it('had begun before is left to them, and recorded', async () => {
    const backend = await answering()
    const { port, one } = await serverAfter(
      (_request, response, go) => {
        response.end('mine')
        go()
      },
      [backend],
    )
    expect(await send(port)).toMatchObject({ status: 200, body: 'mine' })
    expect(await one()).toMatchObject({
      lb: { result: 'internal', attempts: [] },
      http: { response: { status_code: 200 } },
    })
    expect(backend.seen).toEqual([])
  })

  it('ends meanwhile cancels the attempt, which is recorded and no fault of the backend', async () => {
    let gone = false
    const backend = await rawBackend((socket) => {
      socket.on('close', () => {
        gone = true
      })
    })
    let answered: ServerResponse | undefined
    const { port, one, balancer } = await serverAfter(
      (_request, response, go) => {
        answered = response
        go()
      },
      [backend],
    )
    const reply = send(port)
    await until(() => backend.accepted() === 1)
    answered!.writeHead(503).end('too slow')
    expect(await reply).toMatchObject({ status: 503, body: 'too slow' })
    expect(await one()).toMatchObject({
      lb: { result: 'internal', attempts: [{ result: 'internal' }] },
      http: { response: { status_code: 503 } },
    })
    await until(() => gone)
    expect(balancer.snapshot().backends[0]).toMatchObject({ inFlight: 0, failures: 0 })
  })
})
