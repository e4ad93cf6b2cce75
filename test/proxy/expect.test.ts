// Expect: 100-continue: who waits for leave to send its body gets it once the body is wanted, and else its answer at once.
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { attach, nodeHandler } from '../../src/adapters/node.ts'
import { answering, silent } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { rawClient, rawExchange, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const ask = (more = '', method = 'PUT') =>
  `${method} /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n${more}\r\n`

describe('a client that waits for leave', () => {
  it('gets it once, and its answer after its body', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    const client = await rawClient(port, ask('Connection: close\r\n'))
    await client.has('HTTP/1.1 100 Continue\r\n\r\n')
    client.write('body')
    await client.ended
    expect(client.text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
    expect(backend.seen).toMatchObject([{ body: 'body' }])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'expect')).toEqual([])
    expect((await one()).lb.result).toBe('ok')
  })

  it('gets it once, however often its body is sent on', async () => {
    const failing = await silent('reset')
    const backend = await answering()
    const { port, one } = await edge([failing, backend])
    const client = await rawClient(port, ask('Connection: close\r\n'))
    await client.has('100 Continue')
    client.write('body')
    await client.ended
    expect(client.text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
    expect((await one()).lb.attempts).toHaveLength(2)
    expect(backend.seen).toMatchObject([{ body: 'body' }])
  })

  it.each([
    ['its body is too large', 413, { limits: { bodyBytes: 3 } }, ask()],
    ['it is not well-formed', 400, {}, ask('Host: b\r\n')],
    ['its address is denied', 403, { access: { allow: ['10.0.0.0/8'] } }, ask()],
    ['nobody can take it', 503, { backends: [] }, ask()],
    ['it expects more than that', 417, {}, ask().replace('100-continue', 'miracles')],
  ])('gets its answer and no leave where %s', async (_name, status, options, text) => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend], ...options })
    // Without the records of `attach` for connections: an address that is denied would be cut off.
    const server = createServer(nodeHandler(balancer))
    attach(server, balancer)
    server.removeAllListeners('connection').on('connection', () => undefined)
    closeAfterTest(server)
    const plain = createServer()
    closeAfterTest(plain)
    for (const event of ['checkContinue', 'checkExpectation', 'request'] as const)
      for (const listener of server.listeners(event)) plain.on(event, listener as () => void)
    const reply = await rawExchange(await listen(plain), text)
    expect(reply.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`])
    expect(reply).toMatch(/\r\nconnection: close\r\n/i)
    expect((await one()).http.response.status_code).toBe(status)
    expect(backend.accepted()).toBe(0)
  })

  it('gets it from a route of the host, too, once that reads', async () => {
    const { balancer } = recorded({ backends: [] })
    let go: (() => void) | undefined
    const server = createServer((request, response) => {
      go = () => request.resume().on('end', () => response.end('own'))
    })
    closeAfterTest(attach(server, balancer))
    const client = await rawClient(await listen(server), ask('Connection: close\r\n'))
    await until(() => go !== undefined)
    expect(client.text()).toBe('')
    go!()
    await client.has('100 Continue')
    client.write('body')
    await client.ended
    expect(client.text()).toMatch(/own$/)
  })
})

it('a client that does not wait gets its answer all the same', async () => {
  const backend = await answering()
  const { port } = await edge([backend])
  expect(await rawExchange(port, `${ask('Connection: close\r\n')}body`)).toMatch(/HTTP\/1\.1 200 /)
  expect(backend.seen).toMatchObject([{ body: 'body' }])
})

it('a client of HTTP/1.0 gets no leave, for it could not read it', async () => {
  const backend = await answering()
  const { port } = await edge([backend])
  const text = await rawExchange(port, `${ask().replace('HTTP/1.1', 'HTTP/1.0')}body`)
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
})
