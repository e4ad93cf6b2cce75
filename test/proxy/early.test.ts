// Responses that come before their request is through: they pass whole, and what is left of the request harms nobody.
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { drain } from '../../src/proxy/drain.ts'
import { httpBackend, rawBackend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const refusal = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n'
const framings = {
  'with a length': (size: number) => ['Content-Length: '.concat(String(size)), (part: string) => part, ''] as const,
  chunked: () =>
    [
      'Transfer-Encoding: chunked',
      (part: string) => `${part.length.toString(16)}\r\n${part}\r\n`,
      '0\r\n\r\n',
    ] as const,
}

/** Answers at the head of each request, and reads on. */
const early = (head = refusal) => rawBackend((socket) => void socket.write(`${head}\r\ntoo much`))

for (const [name, framing] of Object.entries(framings)) {
  describe(`a body ${name}`, () => {
    it('whose rest is short is read to its end: its connection goes on, that to the backend does not', async () => {
      const backend = await early()
      const { port, completed } = await edge([backend])
      const [field, write, last] = framing(100_000)
      const client = await rawClient(port, `POST /1 HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n${write('x'.repeat(1000))}`)
      await client.has('too much')
      client.write(write('x'.repeat(99_000)) + last)
      client.write('GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await client.ended
      expect(client.text().match(/HTTP\/1\.1 413/g)).toHaveLength(2)
      const events = await completed(2)
      expect(events.map(({ lb, http }) => [lb.result, lb.attempts[0]!.reused, http.request.body.size])).toEqual([
        ['ok', false, 1000],
        ['ok', false, 0],
      ])
      expect(backend.received.map((text) => text.match(/ \/\d HTTP/g))).toEqual([[' /1 HTTP'], [' /2 HTTP']])
    })

    it('whose rest is long: the client has its response whole, and sees an end in order', async () => {
      const backend = await early()
      const { port, one } = await edge([backend])
      const [field, write] = framing(100_000_000)
      const client = await rawClient(port, `POST /1 HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n${write('x'.repeat(1000))}`)
      await client.has('too much')
      let ended = false
      client.socket.on('end', () => {
        ended = true
      })
      const more = write('x'.repeat(65_536))
      // A client that does not look at what it is told until it is told the end.
      while (!ended) {
        if (client.socket.writableLength < 1_000_000) client.write(more)
        await new Promise(setImmediate)
      }
      expect(await client.ended).toBe('fin')
      expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 413 } } })
    })

    it('of a backend that closes with it: the same', async () => {
      const backend = await rawBackend((socket) => void socket.end(`${refusal}Connection: close\r\n\r\ntoo much`))
      const { port, one } = await edge([backend])
      const [field, write, last] = framing(3000)
      const client = await rawClient(
        port,
        `POST /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${field}\r\n\r\n${write('x'.repeat(1000))}`,
      )
      await client.has('too much')
      client.write(write('x'.repeat(2000)) + last)
      expect(await client.ended).toBe('fin')
      expect((await one()).lb.result).toBe('ok')
    })
  })
}

it('a response goes on while the request does, and the request after the head of the response', async () => {
  const backend = await httpBackend((request, response) => {
    response.flushHeaders()
    request.on('data', (chunk: Buffer) => {
      if (String(chunk) === 'ping') response.write('pong')
    })
    request.on('end', () => response.end())
  })
  const { port, one } = await edge([backend])
  const client = await rawClient(
    port,
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n',
  )
  await client.has('200 OK')
  for (let i = 1; i <= 3; i++) {
    client.write('4\r\nping\r\n')
    await until(() => client.text().split('pong').length > i)
  }
  client.write('0\r\n\r\n')
  await client.ended
  expect(await one()).toMatchObject({
    lb: { result: 'ok' },
    http: { request: { body: { size: 13 } }, response: { body: { size: 12 } } },
  })
})

describe('a client that does not send the rest', () => {
  const head = 'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx'

  it('is told the end after a while, and cut off a while later', async () => {
    const clock = fakeClock()
    const { port, one, server } = await edge([await early()], { clock })
    const client = await rawClient(port, head)
    await client.has('too much')
    expect((await one()).lb.result).toBe('ok')
    expect(client.socket.readableEnded).toBe(false)
    client.socket.allowHalfOpen = true
    clock.advance(5000)
    await until(() => client.socket.readableEnded)
    let open = 0
    const count = (): number => {
      server.getConnections((_error, connections) => {
        open = connections
      })
      return open
    }
    await until(() => count() === 1)
    clock.advance(5000)
    await until(() => count() === 0)
  })

  it('has its response whole, however slowly it reads that', async () => {
    const clock = fakeClock()
    const size = 30_000_000
    const backend = await rawBackend((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`),
    )
    const { port, one } = await edge([backend], { clock })
    const client = await rawClient(port, head)
    await client.has('200 OK')
    client.socket.pause()
    clock.advance(59_000)
    client.socket.resume()
    await until(() => client.text().length > size)
    expect(client.text().length - client.text().indexOf('\r\n\r\n') - 4).toBe(size)
    expect((await one()).lb.result).toBe('ok')
  })
})

it('a request that ends before its response was taken leaves its connection to the next one, for good', async () => {
  const clock = fakeClock()
  const size = 30_000_000
  const order: string[] = []
  const server = createServer((request, response) => {
    if (request.method === 'GET') return void response.end('next')
    request.on('close', () => order.push('request'))
    response.on('finish', () => order.push('response'))
    response.writeHead(200, { 'Content-Length': size })
    response.end(Buffer.alloc(size))
    drain(request, response, clock)
  })
  closeAfterTest(server)
  const port = await listen(server)
  const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello')
  client.socket.pause()
  client.write('world')
  await until(() => order.length > 0)
  client.socket.resume()
  await until(() => order.length > 1)
  expect(order).toEqual(['request', 'response'])
  clock.advance(60_000)
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.has(/next$/)
})
