// What the transports of HTTP/1.1 do with each byte: over sockets that say what no server would.
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { directTransport } from '../../src/transports/direct.ts'
import { httpTransport } from '../../src/transports/http.ts'
import { undiciTransport } from '../../src/transports/undici.ts'
import { type Asked, attempt, transportOf } from '../support/attempt.ts'
import { halfResponses, type RawBackend, rawBackend, saying } from '../support/backends.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { namesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const okay = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Says one thing to each request in turn, the last one again and again. */
const sayingInTurn = (...texts: string[]): Promise<RawBackend> => {
  let turn = 0
  return rawBackend((socket) => void socket.write(texts[Math.min(turn++, texts.length - 1)]!, 'latin1'))
}

const streamed = (): Readable => Readable.from([Buffer.from('the '), Buffer.from('body')])
const withLength = ['host', 'a', 'Content-Length', '8']

describe.each([
  ['direct', directTransport],
  ['undici', undiciTransport],
  ['http', httpTransport],
] as const)('%s: a request', (_name, make) => {
  for (const [name, asked, framing, ends] of [
    ['a GET without a body', { method: 'GET' }, [], '\r\n\r\n'],
    ['a DELETE without a body', { method: 'DELETE' }, [], '\r\n\r\n'],
    ['a POST without a body', { method: 'POST' }, ['content-length: 0'], '\r\n\r\n'],
    ['a body that is there', { method: 'PUT', body: Buffer.from('body') }, ['content-length: 4'], 'body'],
    ['a DELETE that streams', { method: 'DELETE', body: streamed() }, ['transfer-encoding: chunked'], '0\r\n\r\n'],
    ['a GET that streams', { method: 'GET', body: streamed() }, ['transfer-encoding: chunked'], '0\r\n\r\n'],
    ['a length', { method: 'POST', body: streamed(), headers: withLength }, ['content-length: 8'], 'the body'],
    [
      'a GET with a length',
      { method: 'GET', body: streamed(), headers: withLength },
      ['content-length: 8'],
      'the body',
    ],
  ] as [string, Asked, string[], string][]) {
    it(`has one framing, and keeps its connection: ${name}`, async () => {
      const backend = await rawBackend(() => undefined)
      attempt(transportOf(make), backend.url, asked)
      await until(() => backend.received[0]?.endsWith(ends) === true)
      const head = backend.received[0]!.toLowerCase().split('\r\n\r\n')[0]!
      expect(head.split('\r\n').filter((line) => /^(content-length|transfer-encoding):/.test(line))).toEqual(framing)
      expect(head).not.toMatch(/^connection: (?!keep-alive)/m)
    })
  }

  it('whose body has another length than it says is not sent to its end', async () => {
    const backend = await rawBackend(() => undefined)
    const transport = transportOf(make)
    for (const [body, length] of [
      [streamed(), '9'],
      [streamed(), '7'],
      [Buffer.from('body'), '5'],
    ] as const) {
      const told = await attempt(transport, backend.url, {
        method: 'POST',
        body,
        headers: ['host', 'a', 'content-length', length],
      }).over()
      expect(told).toMatchObject({ failure: { result: 'internal' }, ends: 1 })
    }
    await until(() => backend.sockets.size === 0)
  })
})

describe.each([
  ['direct', directTransport],
  ['undici', undiciTransport],
  ['http', httpTransport],
] as const)('%s: a response', (_name, make) => {
  it('keeps the order, the case, the duplicates and the bytes of its headers and trailers', async () => {
    const backend = await saying(
      'HTTP/1.1 200 Fine\r\nX-B: 1\r\nx-a: caf\xe9\r\nX-b: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: \xff\r\nx-t: 2\r\n\r\n',
    )
    const told = await attempt(transportOf(make), backend.url).over()
    expect(told).toMatchObject({ status: 200, reason: 'Fine', body: 'ok', trailers: ['X-T', '\xff', 'x-t', '2'] })
    expect(told.headers.slice(0, 6)).toEqual(['X-B', '1', 'x-a', 'caf\xe9', 'X-b', '2'])
  })

  it('with 2,000 headers keeps all of them', async () => {
    const many = Array.from({ length: 2000 }, (_, i) => `a${i}: \r\n`).join('')
    const backend = await saying(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${many}\r\n`)
    const told = await attempt(transportOf(make), backend.url).over()
    expect(namesOf(told.headers)).toHaveLength(2001)
  })

  for (const [name, text] of Object.entries(halfResponses)) {
    for (const ending of ['fin', 'reset'] as const) {
      if (name === 'close-delimited' && ending === 'fin') continue
      it(`that is cut off by a ${ending} fails: ${name}`, async () => {
        const backend = await rawBackend((socket) => socket.write(text))
        const told = attempt(transportOf(make), backend.url)
        await until(() => told.body === 'half.')
        for (const socket of backend.sockets) ending === 'fin' ? socket.end() : socket.resetAndDestroy()
        expect(await told.over()).toMatchObject({ failure: { result: 'backend-cut', sent: true }, ends: 1 })
      })
    }
  }

  it('that the end of its connection ends is whole', async () => {
    const backend = await saying(halfResponses['close-delimited'], 'fin')
    const told = await attempt(transportOf(make), backend.url).over()
    expect(told).toMatchObject({ status: 200, body: 'half.', failure: undefined, ends: 1 })
  })

  for (const [name, text] of Object.entries({
    garbage: 'SSH-2.0-OpenSSH_9.6\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
    'a length that is none': 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok',
    'a length and chunks': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a head of 64 KB': `HTTP/1.1 200 OK\r\nX-A: ${'x'.repeat(65_536)}\r\nContent-Length: 0\r\n\r\n`,
    'a switch of protocols that nobody asked for':
      'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  })) {
    it(`is invalid: ${name}`, async () => {
      const backend = await saying(text)
      const transport = transportOf(make)
      const told = await attempt(transport, backend.url).over()
      expect(told).toMatchObject({ failure: { sent: true }, ends: 1, status: undefined })
      // undici closes the connection then, and does not tell why.
      expect(told.failure!.result).toMatch(
        /101/.test(text) ? /^(response-invalid|backend-reset)$/ : /^response-invalid$/,
      )
      await until(() => backend.sockets.size === 0 && transport.isIdle)
    })
  }

  for (const [name, text] of Object.entries({
    'another response': `${okay}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    'more than its length': `${okay}evil`,
    'a body after 204': 'HTTP/1.1 204 No Content\r\n\r\nevil',
    'a length of which its head says to close':
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokevil',
  })) {
    it(`with bytes behind it is whole, and the connection is not used again: ${name}`, async () => {
      const backend = await sayingInTurn(text, okay)
      const transport = transportOf(make, { connections: { max: 1 } })
      expect(await attempt(transport, backend.url).over()).toMatchObject({ failure: undefined })
      const next = await attempt(transport, backend.url).over()
      expect(next).toMatchObject({ status: 200, body: 'ok', failure: undefined })
      expect(backend.accepted()).toBe(2)
    })
  }

  it('on which unasked bytes follow while the connection is idle answers nobody', async () => {
    const backend = await sayingInTurn(okay)
    const transport = transportOf(make)
    await attempt(transport, backend.url).over()
    for (const socket of backend.sockets) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    await until(() => backend.sockets.size === 0)
    expect(await attempt(transport, backend.url).over()).toMatchObject({ body: 'ok', connected: { reused: false } })
  })

  it('on which unasked bytes follow in the turn of the next request does not answer that', async () => {
    const backend = await sayingInTurn(okay)
    const transport = transportOf(make)
    await attempt(transport, backend.url).over()
    // From a timer on, the bytes are read before the turn ends.
    await new Promise((resolve) => setTimeout(resolve, 5))
    for (const socket of backend.sockets) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    expect(await attempt(transport, backend.url).over()).toMatchObject({ body: 'ok', failure: undefined })
    expect(backend.accepted()).toBe(2)
  })

  it('is not dialled anew once the transport is closed', async () => {
    const backend = await sayingInTurn(okay)
    const transport = transportOf(make)
    await attempt(transport, backend.url).over()
    const late = attempt(transport, backend.url)
    await transport.close()
    expect((await late.over()).failure).toBeDefined()
    await until(() => backend.sockets.size === 0)
    expect(backend.accepted()).toBe(1)
  })

  it('to HEAD that tells of a body is the last on its connection', async () => {
    for (const told of ['Content-Length: 4', 'Transfer-Encoding: chunked']) {
      const backend = await sayingInTurn(`HTTP/1.1 200 OK\r\n${told}\r\n\r\n`, okay)
      const transport = transportOf(make)
      expect(await attempt(transport, backend.url, { method: 'HEAD' }).over()).toMatchObject({ status: 200, body: '' })
      expect(await attempt(transport, backend.url).over()).toMatchObject({ body: 'ok', failure: undefined })
      expect(backend.accepted()).toBe(2)
    }
  })

  it('to HEAD that tells of none is not', async () => {
    const backend = await sayingInTurn('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', okay)
    const transport = transportOf(make)
    await attempt(transport, backend.url, { method: 'HEAD' }).over()
    expect(await attempt(transport, backend.url).over()).toMatchObject({ body: 'ok' })
    expect(backend.accepted()).toBe(1)
  })

  it('whose backend closes the idle connection costs nobody anything', async () => {
    const backend = await sayingInTurn(okay)
    const transport = transportOf(make)
    for (const close of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      await attempt(transport, backend.url).over()
      for (const socket of backend.sockets) close(socket)
      await until(() => backend.sockets.size === 0 && transport.isIdle)
    }
  })

  it('tells how long its connection may be idle', async () => {
    const keep = (value: string) =>
      `HTTP/1.1 200 OK\r\nKeep-Alive: ${value}\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok`
    const backend = await sayingInTurn(keep('timeout=0'), keep('max=5, timeout=60'), okay)
    const transport = transportOf(make)
    const reused = []
    for (let i = 0; i < 3; i++) reused.push((await attempt(transport, backend.url).over()).connected!.reused)
    expect(reused).toEqual([false, false, true])
  })
})

describe.each([
  ['direct', directTransport],
  ['http', httpTransport],
] as const)('%s: a response', (_name, make) => {
  it('that leave to go on precedes is not disturbed by it', async () => {
    const backend = await saying(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${okay}`)
    const told = await attempt(transportOf(make), backend.url).over()
    expect(told).toMatchObject({ information: [[102, []]], body: 'ok', failure: undefined })
  })
})

describe.each([
  ['direct', directTransport],
  ['http', httpTransport],
] as const)('%s: a connection that was kept alive', (_name, make) => {
  const closing = () => {
    let requests = 0
    return rawBackend((socket) => {
      if (++requests === 2) socket.destroy()
      else socket.write(okay)
    })
  }

  it('and turns out to be closed is replaced once, for what may be repeated', async () => {
    const backend = await closing()
    const transport = transportOf(make)
    await attempt(transport, backend.url).over()
    const told = await attempt(transport, backend.url).over()
    expect(told).toMatchObject({ body: 'ok', connected: { reused: false, stale: 1 }, ends: 1 })
    expect(backend.accepted()).toBe(2)
  })

  it('and turns out to be closed fails what may not be repeated', async () => {
    const backend = await closing()
    // Within the time for which it takes a connection that was used.
    const transport = transportOf(make, { clock: fakeClock() })
    await attempt(transport, backend.url).over()
    const told = await attempt(transport, backend.url, { method: 'POST', repeatable: false }).over()
    expect(told).toMatchObject({ failure: { result: 'backend-reset', sent: true }, connected: { reused: true } })
    expect(backend.accepted()).toBe(1)
  })

  it('fails what got a part of its response', async () => {
    const backend = await sayingInTurn(okay, 'HTTP/1.1 200 O')
    const transport = transportOf(make)
    await attempt(transport, backend.url).over()
    const told = attempt(transport, backend.url)
    await until(() => backend.received[0]!.split('\r\n\r\n').length === 3)
    for (const socket of backend.sockets) socket.end()
    expect(await told.over()).toMatchObject({ failure: { result: 'backend-reset', sent: true }, ends: 1 })
    expect(backend.accepted()).toBe(1)
  })
})

describe.each([
  ['direct', directTransport],
  ['http', httpTransport],
] as const)('%s: a request', (_name, make) => {
  it('whose client leaves within its body fails by that', async () => {
    const backend = await rawBackend(() => undefined)
    const body = new Readable({ read: () => undefined })
    const told = attempt(transportOf(make), backend.url, { method: 'POST', body })
    await until(() => backend.received.length === 1 && backend.received[0]!.endsWith('\r\n\r\n'))
    body.destroy(new Error('gone'))
    expect(await told.over()).toMatchObject({ failure: { result: 'client-gone', sent: true, detail: 'gone' }, ends: 1 })
    await until(() => backend.sockets.size === 0)
  })
})
