// Aborts: a side that goes away takes the other with it, nothing leaks, and the record says who it was.
import { describe, expect, it } from 'vitest'
import { halfResponses, httpBackend, rawBackend, saying, type TestBackend } from '../support/backends.ts'
import { type Edge, edge } from '../support/edge.ts'
import { rawClient, rawExchange } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

describe('a client that leaves', () => {
  const gone = async ({ one }: Edge, backend: TestBackend) => {
    const event = await one()
    expect(event).toMatchObject({
      lb: { result: 'client-gone', ended_by: 'client', attempts: [{ result: 'client-gone' }] },
      http: { response: { status_code: 499 } },
      outcome: 'failure',
    })
    await until(() => backend.sockets.size === 0)
    return event
  }

  for (const way of ['fin', 'reset'] as const) {
    const leave = (client: Awaited<ReturnType<typeof rawClient>>) =>
      way === 'fin' ? client.socket.destroy() : client.socket.resetAndDestroy()

    it(`before the response takes its backend request with it (${way})`, async () => {
      let asked = false
      const backend = await httpBackend(() => {
        asked = true
      })
      const started = await edge([backend])
      const client = await rawClient(started.port, get)
      await until(() => asked)
      leave(client)
      expect((await gone(started, backend)).lb.timing.first_byte_us).toBeUndefined()
    })

    it(`within the response takes its backend request with it (${way})`, async () => {
      const backend = await httpBackend((_request, response) => response.write('some'))
      const started = await edge([backend])
      const client = await rawClient(started.port, get)
      await client.has('some')
      leave(client)
      const event = await gone(started, backend)
      expect(event).toMatchObject({
        lb: { attempts: [{ status_code: 200 }] },
        http: { response: { body: { size: 4 } } },
      })
    })

    it(`within its own body takes its backend request with it (${way})`, async () => {
      let read = ''
      const backend = await httpBackend((request) => {
        request.on('error', () => undefined)
        request.on('data', (chunk: Buffer) => {
          read += chunk.toString()
        })
      })
      const started = await edge([backend])
      const client = await rawClient(started.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.')
      await until(() => read === 'half.')
      leave(client)
      expect((await gone(started, backend)).http.request.body.size).toBe(5)
    })
  }

  it('with requests that wait for their turn leaves none of them behind', async () => {
    const backend = await httpBackend(() => undefined)
    const { port, completed } = await edge([backend])
    const client = await rawClient(port, get.repeat(5))
    await until(() => backend.accepted() === 5)
    client.socket.destroy()
    expect((await completed(5)).map(({ lb }) => lb.result)).toEqual(Array(5).fill('client-gone'))
    await until(() => backend.sockets.size === 0)
  })

  it('while it waits for a connection gives its place up', async () => {
    const backend = await httpBackend(() => undefined)
    const { port, balancer, completed } = await edge([backend], { connections: { max: 1 } })
    const first = await rawClient(port, get)
    await until(() => backend.accepted() === 1)
    const second = await rawClient(port, get)
    await until(() => balancer.snapshot().inFlight === 2)
    second.socket.destroy()
    await until(() => balancer.snapshot().inFlight === 1)
    first.socket.destroy()
    await completed(2)
    await until(() => backend.sockets.size === 0)
    expect(backend.accepted()).toBe(1)
  })

  it('many times over leaves nothing behind', async () => {
    const backend = await httpBackend((_request, response) => response.write('some'))
    const { port, balancer, completions } = await edge([backend])
    for (let round = 0; round < 10; round++) {
      const clients = await Promise.all(Array.from({ length: 20 }, () => rawClient(port, get)))
      if (round % 2 === 0) await Promise.all(clients.map((client) => client.has('some')))
      for (const client of clients) client.socket.resetAndDestroy()
    }
    await until(() => backend.sockets.size === 0 && balancer.snapshot().inFlight === 0)
    // A connection that was reset before its request was read never became one.
    expect(completions().length).toBeGreaterThanOrEqual(100)
    expect(new Set(completions().map(({ lb }) => lb.request_id)).size).toBe(completions().length)
    expect(completions().filter(({ lb }) => lb.result !== 'client-gone')).toEqual([])
  })
})

describe('a backend that leaves within its response', () => {
  for (const [framing, half] of Object.entries(halfResponses)) {
    for (const ending of ['fin', 'reset'] as const) {
      // An orderly end is the end of a body that is delimited by it.
      if (framing === 'close-delimited' && ending === 'fin') continue
      it(`cuts the client off: ${framing}, ${ending}`, async () => {
        const backend = await saying(half)
        const { port, one } = await edge([backend])
        const client = await rawClient(port, get)
        await client.has('half.')
        for (const socket of backend.sockets) ending === 'fin' ? socket.end() : socket.resetAndDestroy()
        expect(await client.ended).toBe('reset')
        expect(client.text()).not.toContain('0\r\n\r\n')
        expect(await one()).toMatchObject({
          lb: { result: 'backend-cut', ended_by: 'backend', attempts: [{ result: 'backend-cut', status_code: 200 }] },
          http: { response: { status_code: 200, body: { size: 5 } } },
          outcome: 'failure',
        })
      })
    }
  }

  it('cuts an HTTP/1.0 client off so that it cannot take the part for the whole', async () => {
    const { port } = await edge([await saying(halfResponses.chunked, 'fin')])
    const client = await rawClient(port, 'GET / HTTP/1.0\r\n\r\n')
    expect(await client.ended).toBe('reset')
  })

  it('has ended it, where its end delimits it', async () => {
    const { port, one } = await edge([await saying(halfResponses['close-delimited'], 'fin')])
    const text = await rawExchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(text.endsWith('5\r\nhalf.\r\n0\r\n\r\n')).toBe(true)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: 5 } } } })
  })
})

describe('a response before its request was read', () => {
  const early = () => rawBackend((socket) => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno'))

  it('reaches the client, whose connection can be used again once the rest is read', async () => {
    const { port, completed } = await edge([await early()])
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.')
    await client.has(/ 413 [\s\S]*no$/)
    client.write(`rest.${get}`)
    await client.has(/( 413 [\s\S]*no[\s\S]*){2}$/)
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['ok', 'ok'])
  })

  it('reaches the client, whose connection is closed if the rest is too much', async () => {
    const { port, one } = await edge([await early()])
    const client = await rawClient(port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 30}\r\n\r\nstart`)
    await client.has(/ 413 [\s\S]*no$/)
    const block = Buffer.alloc(65_536)
    const more = (): void => void (client.socket.writable && client.socket.write(block, more))
    more()
    await client.ended
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 413 } } })
  })

  it('of ours leaves the body unread, and closes the connection', async () => {
    const { port, one } = await edge([])
    const text = await rawExchange(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.')
    expect(text).toMatch(/ 503 [\s\S]*\r\nconnection: close\r\n/)
    await one()
  })

  it('does not spoil the connection to the backend for the next request', async () => {
    const { port, completed } = await edge([await early()], { connections: { max: 1 } })
    const client = await rawClient(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.')
    await client.has('no')
    expect(await rawExchange(port, get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))).toMatch(/ 413 /)
    client.socket.destroy()
    await completed(2)
  })
})
