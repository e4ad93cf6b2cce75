// Limits: what is larger is refused with a status and a line of its own, closes its connection, and costs no backend anything.
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { answering, httpBackend, silent } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { rawClient, rawExchange, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const get = (target: string, more = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
const post = (head: string, body = '') => `POST /up HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${body}`
const follower = get('/follower', 'Connection: close\r\n')

describe('a head beyond its limit', () => {
  const limits = { targetBytes: 20, headers: 4, headerBytes: 100 }
  const cases: readonly (readonly [string, number, string, string, string])[] = [
    ['a target', 414, 'target-too-long', '21 bytes', get(`/${'x'.repeat(20)}`)],
    ['a query', 414, 'target-too-long', '21 bytes', get(`/?${'x'.repeat(19)}`)],
    ['a target in absolute form', 414, 'target-too-long', '21 bytes', get(`http://a/${'x'.repeat(12)}`)],
    ['lines', 431, 'headers-too-large', '5 lines', get('/', 'a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n')],
    ['bytes of its lines', 431, 'headers-too-large', '101 bytes', get('/', `x: ${'y'.repeat(87)}\r\n`)],
    [
      'lines, with a body',
      431,
      'headers-too-large',
      '5 lines',
      post('a: 1\r\nb: 2\r\nc: 3\r\nContent-Length: 5', 'hello'),
    ],
  ]
  it.each(cases)('by its %s is %i', async (_name, status, result, detail, text) => {
    const backend = await answering()
    const { port, completed } = await edge([backend], { limits })
    const reply = await rawExchange(port, text + follower)
    expect(reply).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(reply).toMatch(/\r\nconnection: close\r\n/i)
    expect(reply.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    const [event] = await completed(2)
    expect(event).toMatchObject({
      lb: { result, detail, ended_by: 'balancer', attempts: [] },
      http: { response: { status_code: status } },
    })
    expect(backend.accepted()).toBe(0)
  })

  it('is let in where it is just within', async () => {
    const backend = await answering()
    const { port } = await edge([backend], { limits })
    const close = 'Connection: close\r\n'
    for (const text of [
      get(`/${'x'.repeat(19)}`, close),
      get('/', `${close}b: 2\r\nc: 3\r\n`),
      get('/', `${close}x: ${'y'.repeat(65)}\r\n`),
    ])
      expect(await rawExchange(port, text)).toMatch(/^HTTP\/1\.1 200 /)
    expect(backend.seen).toHaveLength(3)
  })

  it('is measured as the client sent it, also below a mount', async () => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend], limits })
    const handler = expressBalancer(balancer)
    const server = createServer((request, response) =>
      handler(Object.assign(request, { originalUrl: `/mount${request.url}` }), response, () => undefined),
    )
    closeAfterTest(server)
    expect(await rawExchange(await listen(server), get(`/${'x'.repeat(14)}`))).toMatch(/^HTTP\/1\.1 414 /)
    expect((await one()).lb.detail).toBe('21 bytes')
  })
})

describe('a body beyond its limit', () => {
  const limits = { bodyBytes: 10 }

  it('is refused by its length, before a byte of it goes on', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend], { limits })
    const reply = await rawExchange(port, post('Content-Length: 11', 'hello world') + follower)
    expect(reply).toMatch(/^HTTP\/1\.1 413 /)
    expect(reply).toMatch(/\r\nconnection: close\r\n/i)
    expect(reply.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    const [event] = await completed(2)
    expect(event).toMatchObject({
      lb: { result: 'too-large', detail: '11 bytes', attempts: [], ended_by: 'balancer' },
      http: { request: { body: { size: 0 } }, response: { status_code: 413 } },
    })
    expect(backend.accepted()).toBe(0)
  })

  it('is refused by its length while it is still to come, and the client sees the end', async () => {
    const { port, one } = await edge([await answering()], { limits })
    expect(await rawExchange(port, post('Content-Length: 1000000000', 'hello'))).toMatch(/^HTTP\/1\.1 413 /)
    expect((await one()).lb.result).toBe('too-large')
  })

  it('is refused while its client goes on to send: it has its answer, and sees an end in order', async () => {
    const { port, one } = await edge([await answering()], { limits })
    const client = await rawClient(port, post('Content-Length: 1000000000', 'hello'))
    let ended = false
    client.socket.on('end', () => {
      ended = true
    })
    client.socket.on('close', () => {
      ended = true
    })
    while (!ended) {
      if (client.socket.writableLength < 1_000_000) client.write('x'.repeat(65_536))
      await new Promise(setImmediate)
    }
    expect(await client.ended).toBe('fin')
    expect(client.text()).toMatch(/^HTTP\/1\.1 413 [\s\S]*\}\n$/)
    expect((await one()).lb.result).toBe('too-large')
  })

  it('is refused as soon as it is counted, and its attempt is broken off', async () => {
    const backend = await httpBackend((request) => void request.resume())
    const { port, one, balancer } = await edge([backend], { limits })
    const client = await rawClient(port, post('Transfer-Encoding: chunked', '5\r\nhello\r\n'))
    await until(() => backend.sockets.size === 1)
    client.write('6\r\n world\r\n')
    await client.ended
    expect(client.text()).toMatch(/^HTTP\/1\.1 413 [\s\S]*\r\nconnection: close\r\n/i)
    await until(() => backend.sockets.size === 0)
    expect(await one()).toMatchObject({
      lb: {
        result: 'too-large',
        detail: 'more than 10 bytes',
        attempts: [{ result: 'too-large' }],
        ended_by: 'balancer',
      },
      http: { request: { body: { size: 11 } }, response: { status_code: 413 } },
    })
    // The client is to blame.
    expect(balancer.snapshot().backends).toMatchObject([{ passive: 'ok' }])
  })

  it('that is found out within the response cuts it', async () => {
    const backend = await httpBackend((request, response) => {
      request.resume()
      response.write('early')
    })
    const { port, one } = await edge([backend], { limits })
    const client = await rawClient(port, post('Transfer-Encoding: chunked', '5\r\nhello\r\n'))
    await client.has('early')
    client.write('6\r\n world\r\n')
    expect(await client.ended).toBe('reset')
    await until(() => backend.sockets.size === 0)
    expect((await one()).lb).toMatchObject({
      result: 'too-large',
      attempts: [{ result: 'too-large', status_code: 200 }],
    })
  })

  it('is let in where it is just within, by its length or by chunks', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend], { limits })
    for (const headers of [[], ['Transfer-Encoding', 'chunked']])
      expect(await send(port, { method: 'POST', headers, body: 'x'.repeat(10) })).toMatchObject({ status: 200 })
    expect(backend.seen.map(({ body }) => body.length)).toEqual([10, 10])
    await completed(2)
  })

  it('is refused too where somebody has read it before', async () => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend], limits })
    const server = createServer((request, response) => {
      request.resume().on('end', () => balancer.port.handle(request, response, { body: Buffer.alloc(11) }))
    })
    closeAfterTest(server)
    const port = await listen(server)
    const chunked = ['Transfer-Encoding', 'chunked']
    expect(await send(port, { method: 'POST', headers: chunked, body: '{}' })).toMatchObject({ status: 413 })
    expect((await one()).lb).toMatchObject({ result: 'too-large', detail: '11 bytes' })
    expect(backend.seen).toEqual([])
  })

  it('costs the next attempt nothing: what was kept is counted once', async () => {
    const failing = await silent('reset')
    const backend = await answering()
    const { port, one } = await edge([failing, backend], { limits })
    const client = await rawClient(
      port,
      'PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n',
    )
    await until(() => backend.accepted() === 1)
    client.write('0\r\n\r\n')
    expect(await client.has('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
    expect(backend.seen).toMatchObject([{ body: '12345678' }])
    expect((await one()).http.request.body.size).toBe(8)
  })
})

it('limits change with an update while traffic flows', async () => {
  const backend = await answering()
  const { port, balancer, completed } = await edge([backend])
  const body = 'x'.repeat(11)
  const statuses = async (): Promise<number[]> =>
    Promise.all(
      [{ method: 'POST', body }, { path: '/too-long' }].map(async (given) => (await send(port, given)).status),
    )
  expect(await statuses()).toEqual([200, 200])
  const operator = balancer.as({ id: 'me', type: 'user' })
  await operator.update({ limits: { bodyBytes: 10, targetBytes: 8 } })
  expect(await statuses()).toEqual([413, 414])
  await operator.update({ limits: {} })
  expect(await statuses()).toEqual([200, 200])
  await completed(6)
})
