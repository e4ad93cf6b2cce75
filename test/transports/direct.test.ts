// What only the transport of our own does with connections that end, or that turn out to be unusable.
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { backendSchema } from '../../src/backend.ts'
import { directTransport } from '../../src/transports/direct.ts'
import { attempt, transportOf } from '../support/attempt.ts'
import { rawBackend } from '../support/backends.ts'
import { until } from '../support/until.ts'

const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

describe('a response that is whole, of which the reader has stopped', () => {
  it.each(['fin', 'reset'])('is read to its end after %s', async (how) => {
    let ended: Socket | undefined
    const backend = await rawBackend((socket) => {
      socket.write(`${head}2\r\nab\r\n2\r\ncd\r\n0\r\nX-T: 1\r\n\r\n`, () => {
        ended = socket
      })
    })
    const told = attempt(transportOf(directTransport), backend.url, { takes: () => false })
    await until(() => told.body !== '' && ended !== undefined)
    expect(told.body).toBe('ab')
    if (how === 'fin') ended!.end()
    else ended!.resetAndDestroy()
    // Whoever does not read sees no end, but a reset.
    await until(() => (how === 'fin' ? ended!.writableFinished : backend.sockets.size === 0))
    expect(told.ends).toBe(0)
    told.resume()
    await until(() => told.body === 'abcd')
    told.resume()
    expect(await told.over()).toMatchObject({ body: 'abcd', trailers: ['X-T', '1'], failure: undefined, ends: 1 })
  })
})

it('a backend that cannot even be dialled fails who waits for its connection, and nobody else', async () => {
  const silent = await rawBackend(() => undefined)
  const transport = transportOf(directTransport, { connections: { max: 1 } })
  const backend = { ...backendSchema.parse(silent.url) }
  const first = attempt(transport, backend)
  await until(() => first.connected !== undefined)
  const waiting = attempt(transport, backend)
  // What OpenSSL refuses is refused in the configuration, but for what nobody has thought of.
  Object.assign(backend, { url: 'https://127.0.0.1:1', tls: { ciphers: 'none' } })
  first.cancel()
  expect(await waiting.over()).toMatchObject({ failure: { sent: false, result: 'tls-failed' } })
  expect(first.ends).toBe(0)
  expect(transport.isIdle).toBe(true)
})
