// A client that stalls within its request is given up; one that is slow is not, however long it takes.
import { describe, expect, it } from 'vitest'
import { createServer, type PlainOptions } from '../../src/adapters/node.ts'
import { answering, httpBackend, rawBackend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, rawExchange } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const head = (framing: string) => `POST /up HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`

describe('within its body', () => {
  for (const [name, text] of [
    ['of a length', `${head('Content-Length: 10')}half.`],
    ['in chunks', `${head('Transfer-Encoding: chunked')}5\r\nhalf.\r\n`],
    ['that has not begun', head('Content-Length: 10')],
  ] as const) {
    it(`${name}: 408, and the attempt is broken off`, async () => {
      const clock = fakeClock()
      const backend = await httpBackend((request) => void request.resume())
      const { port, one, balancer } = await edge([backend], { clock, timeouts: { requestIdleMs: 5000 } })
      const timers = clock.timers
      const client = await rawClient(port, text)
      await until(() => backend.sockets.size === 1 && clock.timers > timers)
      clock.advance(4999)
      expect(backend.sockets.size).toBe(1)
      // The parts that came were awaited anew.
      clock.advance(5001)
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*\r\nconnection: close\r\n/i)
      await until(() => backend.sockets.size === 0)
      expect(await one()).toMatchObject({
        lb: {
          result: 'client-timeout',
          detail: 'nothing of the body within 5000 ms',
          ended_by: 'balancer',
          attempts: [{ result: 'client-timeout' }],
        },
        http: { response: { status_code: 408 } },
      })
      expect(balancer.snapshot().backends).toMatchObject([{ passive: 'ok' }])
    })
  }

  it('while the response streams: it is cut', async () => {
    const clock = fakeClock()
    const backend = await httpBackend((request, response) => {
      request.resume()
      response.write('early')
    })
    const { port, one } = await edge([backend], { clock })
    const client = await rawClient(port, `${head('Content-Length: 10')}half.`)
    await client.has('early')
    clock.advance(120_000)
    expect(await client.ended).toBe('reset')
    expect((await one()).lb).toMatchObject({ result: 'client-timeout' })
  })

  it('is not what a slow client does, however long it takes', async () => {
    const clock = fakeClock()
    let received = ''
    const backend = await httpBackend((request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk
      })
      request.on('end', () => response.end('all'))
    })
    const { port, one } = await edge([backend], { clock })
    const parts = 200
    const client = await rawClient(port, head(`Connection: close\r\nContent-Length: ${parts}`))
    for (let i = 1; i <= parts; i++) {
      client.write('x')
      await until(() => received.length === i)
      clock.advance(59_000)
    }
    await client.ended
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 [\s\S]*all$/)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { request: { body: { size: parts } } } })
    expect(clock.timers).toBeLessThan(10)
  })

  it('is not what a client does that waits for a slow backend', async () => {
    const clock = fakeClock()
    const stalled = await rawBackend((socket) => void socket.pause())
    // How long the backend may take is another matter.
    const timeouts = { headerMs: 3_600_000 }
    const { port, balancer, completions } = await edge([stalled], { clock, timeouts })
    const client = await rawClient(port, head('Content-Length: 50000000'))
    let sent = 0
    let quiet = 0
    while (quiet < 500) {
      const flowing = client.socket.writableLength < 1_000_000
      quiet = flowing ? 0 : quiet + 1
      if (flowing) client.write('x'.repeat(1_000_000))
      if (flowing) sent++
      await new Promise(setImmediate)
    }
    expect(sent).toBeLessThan(50)
    clock.advance(59_000)
    clock.advance(59_000)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    expect(client.text()).toBe('')
    expect([balancer.snapshot().inFlight, completions().length]).toEqual([1, 0])
  })
})

describe('within its head', () => {
  it.each(['GET /x HT', 'GET /x HTTP/1.1\r\nHost: a\r\nX-A: b'])('%j: 408, with a line', async (text) => {
    const { balancer, denied, completions } = recorded({ backends: [await answering()] })
    const server = createServer(balancer, { headersTimeout: 100, connectionsCheckingInterval: 20 })
    closeAfterTest(server)
    expect(await rawExchange(await listen(server), text)).toMatch(
      /^HTTP\/1\.1 408 Request Timeout\r\nConnection: close\r\n/,
    )
    expect(await denied()).toMatchObject([
      { access: { rule: 'malformed', phase: 'connection', detail: 'ERR_HTTP_REQUEST_TIMEOUT' } },
    ])
    expect(completions()).toEqual([])
  })

  it('has as long as Node gives it by itself, and the request as a whole as long as it takes', () => {
    const { balancer } = recorded({ backends: [] })
    const times = (options?: PlainOptions) => {
      const { headersTimeout, requestTimeout } = createServer(balancer, options)
      return [headersTimeout, requestTimeout]
    }
    expect(times()).toEqual([60_000, 0])
    expect(times({ requestTimeout: 5000 })).toEqual([5000, 5000])
    expect(times({ requestTimeout: 90_000 })).toEqual([60_000, 90_000])
    expect(times({ headersTimeout: 10_000 })).toEqual([10_000, 0])
  })
})
