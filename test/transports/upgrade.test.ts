// What switches protocols: over `node:http`, on connections of its own.
import { describe, expect, it } from 'vitest'
import { httpTransport } from '../../src/transports/http.ts'
import { attempt, transportOf } from '../support/attempt.ts'
import { answering, rawBackend, saying } from '../support/backends.ts'
import { namesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const switching = (more: string, behind = ''): string => `HTTP/1.1 101 Switching Protocols\r\n${more}\r\n\r\n${behind}`
const agreed = switching('Connection: Upgrade\r\nUpgrade: WebSocket\r\nX-Twice: 1\r\nx-twice: 2', 'early')

describe('a request that asks for another protocol', () => {
  it('gets the connection, with what came behind the response, and its headers as they were', async () => {
    const backend = await saying(agreed)
    const transport = transportOf(httpTransport)
    const headers = ['host', 'a', 'Sec-WebSocket-Key', 'abc', 'X-A', '1', 'x-a', '2']
    const { upgraded, status, connected } = await attempt(transport, backend.url, {
      headers,
      upgrade: 'websocket',
    }).over()
    expect(status).toBeUndefined()
    expect(connected).toMatchObject({ reused: false, queueUs: 0 })
    expect(upgraded!.head.toString()).toBe('early')
    expect(namesOf(upgraded!.headers)).toEqual(['Connection', 'Upgrade', 'X-Twice', 'x-twice'])
    expect(backend.received[0]).toMatch(
      /^GET \/ HTTP\/1\.1\r\nhost: a\r\nSec-WebSocket-Key: abc\r\nX-A: 1\r\nX-A: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/,
    )
    upgraded!.socket.write('hello')
    await until(() => backend.received[0]!.endsWith('hello'))
    const chunks: string[] = []
    upgraded!.socket.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    ;[...backend.sockets][0]!.write('and back')
    await until(() => chunks.join('') === 'and back')
  })

  it('has a connection of its own, which no pool counts or closes', async () => {
    const backend = await rawBackend((socket, head) =>
      socket.write(head.includes('Upgrade') ? agreed : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    )
    const transport = transportOf(httpTransport, { connections: { max: 1 } })
    expect(await attempt(transport, backend.url).over()).toMatchObject({ status: 200 })
    const one = await attempt(transport, backend.url, { upgrade: 'websocket' }).over()
    const other = await attempt(transport, backend.url, { upgrade: 'websocket' }).over()
    expect(await attempt(transport, backend.url).over()).toMatchObject({ status: 200, connected: { reused: true } })
    expect(backend.accepted()).toBe(3)
    await transport.close()
    expect(transport.isIdle).toBe(true)
    expect([one, other].map(({ upgraded }) => upgraded!.socket.destroyed)).toEqual([false, false])
    one.cancel()
    expect(one.upgraded!.socket.destroyed).toBe(false)
  })

  it('that is refused gets the response like any other, and closes the connection behind it', async () => {
    const backend = await answering((response) => response.writeHead(426, { 'x-a': '1' }).end('no'))
    const transport = transportOf(httpTransport)
    const told = await attempt(transport, backend.url, { upgrade: 'websocket' }).over()
    expect(told).toMatchObject({ status: 426, body: 'no', trailers: [], upgraded: undefined })
    expect(transport.isIdle).toBe(true)
    await until(() => backend.sockets.size === 0)
  })

  for (const [name, text] of Object.entries({
    'to another protocol': switching('Connection: Upgrade\r\nUpgrade: irc'),
    'to another protocol besides': switching('Connection: Upgrade\r\nUpgrade: websocket, irc'),
    'without saying to which': switching('Connection: Upgrade'),
    'without Connection': switching('Upgrade: websocket'),
    'without a header': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  })) {
    it(`fails where the backend switches ${name}`, async () => {
      const backend = await saying(text)
      const transport = transportOf(httpTransport)
      const told = await attempt(transport, backend.url, { upgrade: 'websocket' }).over()
      expect(told).toMatchObject({ failure: { result: 'response-invalid', sent: true }, upgraded: undefined, ends: 1 })
      expect(transport.isIdle).toBe(true)
      await until(() => backend.sockets.size === 0)
    })
  }

  it('is cancelled while it waits, and when the transport closes', async () => {
    const backend = await rawBackend(() => undefined)
    const transport = transportOf(httpTransport)
    const one = attempt(transport, backend.url, { upgrade: 'websocket' })
    const other = attempt(transport, backend.url, { upgrade: 'websocket' })
    await until(() => backend.received.filter((text) => text.endsWith('\r\n\r\n')).length === 2)
    one.cancel()
    await until(() => backend.sockets.size === 1)
    expect(transport.isIdle).toBe(false)
    await transport.close()
    expect(await other.over()).toMatchObject({ failure: { result: 'internal', sent: true }, ends: 1 })
    await until(() => backend.sockets.size === 0)
    expect(one.ends).toBe(0)
  })
})

describe('a request that asks for no other protocol', () => {
  it('fails where the backend switches all the same', async () => {
    const backend = await saying(agreed)
    const transport = transportOf(httpTransport)
    expect(await attempt(transport, backend.url).over()).toMatchObject({
      failure: { result: 'response-invalid', sent: true },
      upgraded: undefined,
    })
    await until(() => backend.sockets.size === 0)
  })
})
