// Streaming: bodies pass as they come, both ways, and no faster than the slower side takes them.
import { request as httpRequest, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { answering, echoing, httpBackend, rawBackend } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const MB = 1024 * 1024
const total = 64 * MB
/** What the kernel and the streams of both hops may hold, with room: far less than the whole. */
const mostBuffered = 24 * MB
const block = Buffer.alloc(64 * 1024, 'x')

/** Resolves once a count has stopped to grow for many turns of the loop: whoever counts has stalled. */
async function stalled(count: () => number): Promise<number> {
  let last = -1
  let quiet = 0
  await until(() => {
    quiet = count() === last ? quiet + 1 : 0
    last = count()
    return last > 0 && quiet > 3000
  })
  return last
}

describe('a response', () => {
  it('reaches the client chunk by chunk', async () => {
    let response: ServerResponse | undefined
    const backend = await httpBackend((_request, given) => {
      response = given
      given.write('first')
    })
    const { port, one } = await edge([backend])
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await client.has('first')
    response!.write('second')
    await client.has('second')
    response!.end('last')
    await client.ended
    expect(client.text().endsWith('4\r\nlast\r\n0\r\n\r\n')).toBe(true)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: 15 } } } })
  })

  it.each([
    ['chunked', 'Transfer-Encoding: chunked'],
    ['of a length', 'Content-Length: 2'],
    ['to the end of its connection', 'Connection: close'],
  ])('%s: its head reaches the client although nothing follows it', async (_name, framing) => {
    let socket: Socket | undefined
    const backend = await rawBackend((given) => {
      socket = given
      given.write(`HTTP/1.1 200 OK\r\nX-Early: yes\r\n${framing}\r\n\r\n`)
    })
    const { port, one } = await edge([backend])
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(await client.has('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*X-Early: yes/)
    socket!.end(framing.startsWith('Transfer') ? '2\r\nok\r\n0\r\n\r\n' : 'ok')
    await client.ended
    expect(client.text()).toMatch(/ok(\r\n0\r\n\r\n)?$/)
    expect((await one()).lb.result).toBe('ok')
  })

  it('of events reaches the client event by event, to its end hours later', async () => {
    let response: ServerResponse | undefined
    const backend = await httpBackend((_request, given) => {
      response = given
      given.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    })
    const { port, one } = await edge([backend])
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await client.has('text/event-stream')
    for (let i = 0; i < 50; i++) {
      response!.write(`data: ${i}\n\n`)
      await client.has(`data: ${i}\n\n`)
    }
    response!.end()
    await client.ended
    expect((await one()).lb.result).toBe('ok')
  })

  it('stalls at the backend while the client does not read, and comes whole once it does', async () => {
    let written = 0
    const backend = await httpBackend((_request, response) => {
      response.writeHead(200, { 'content-length': total })
      const more = () => {
        while (written < total) {
          written += block.length
          if (!response.write(block)) return void response.once('drain', more)
        }
        response.end()
      }
      more()
    })
    const { port, one } = await edge([backend])
    const client = await rawClient(port)
    client.socket.pause().removeAllListeners('data')
    let read = 0
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(await stalled(() => written)).toBeLessThan(mostBuffered)
    client.socket.on('data', (chunk) => {
      read += chunk.length
    })
    client.socket.resume()
    expect(await client.ended).toBe('fin')
    expect(read).toBeGreaterThanOrEqual(total)
    expect(read).toBeLessThan(total + 1000)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: total } } } })
  })
})

describe('a request', () => {
  it('reaches the backend chunk by chunk', async () => {
    let got = ''
    const backend = await httpBackend((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => {
        got += text
      })
      request.on('end', () => response.end(got))
    })
    const { port, one } = await edge([backend])
    const request = httpRequest({ port, host: '127.0.0.1', method: 'POST', agent: false })
    request.write('first')
    await until(() => got === 'first')
    request.write('second')
    await until(() => got === 'firstsecond')
    request.end('last')
    await new Promise<void>((resolve) => request.on('response', (response) => response.resume().on('end', resolve)))
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { request: { body: { size: 15 } } } })
  })

  it('stalls at the client while the backend does not read, and comes whole once it does', async () => {
    let read = 0
    let start = (): void => undefined
    const backend = await httpBackend((request, response) => {
      start = () => {
        request.on('data', (chunk: Buffer) => {
          read += chunk.length
        })
        request.on('end', () => response.end('thanks'))
      }
    })
    const { port, one } = await edge([backend])
    const client = await rawClient(
      port,
      `PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${total}\r\n\r\n`,
    )
    let written = 0
    const more = (): void => {
      while (written < total) {
        written += block.length
        if (!client.socket.write(block)) return void client.socket.once('drain', more)
      }
    }
    more()
    expect(await stalled(() => written)).toBeLessThan(mostBuffered)
    start()
    await client.has('thanks')
    expect(read).toBe(total)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { request: { body: { size: total } } } })
  })
})

describe('both ways', () => {
  it('can stream at once', async () => {
    const { port, one } = await edge([await echoing()])
    const client = await rawClient(
      port,
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n',
    )
    for (const part of ['one', 'two', 'six']) {
      client.write(`3\r\n${part}\r\n`)
      await client.has(part)
    }
    client.write('0\r\n\r\n')
    await client.ended
    expect(await one()).toMatchObject({ http: { request: { body: { size: 9 } }, response: { body: { size: 9 } } } })
  })

  it('keep every byte, whatever it is', async () => {
    const { port, completed } = await edge([await answering((response, _request, body) => response.end(body))])
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 255))
    expect((await send(port, { method: 'POST', body: bytes })).body).toBe(bytes.toString('latin1'))
    expect((await send(port, { method: 'POST', body: bytes, headers: ['Transfer-Encoding', 'chunked'] })).body).toBe(
      bytes.toString('latin1'),
    )
    await completed(2)
  })
})
