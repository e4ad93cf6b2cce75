// What Node's parser can make nothing of within a request, or behind it: the record of that request says so.
import { createServer as createHttpServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { attach, createServer, type PlainOptions } from '../../src/adapters/node.ts'
import { saying, silent } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { rawClient, rawExchange } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const chunks = (body: string) => `POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`
const get = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'
const half = 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello'

async function served(backend: { readonly url: string }, options: PlainOptions = {}) {
  const record = recorded({ backends: [backend.url] })
  const server = createServer(record.balancer, options)
  closeAfterTest(server)
  return { ...record, server, port: await listen(server) }
}

const checked = { connectionsCheckingInterval: 20 }
const cases: readonly (readonly [string, string, number, string, string, PlainOptions])[] = [
  ['a first chunk size that is none', chunks('ZZ\r\n'), 400, 'malformed', 'HPE_INVALID_CHUNK_SIZE', {}],
  ['a later one', chunks('5\r\nhello\r\nZZ\r\n'), 400, 'malformed', 'HPE_INVALID_CHUNK_SIZE', {}],
  ['what is no request behind it', `${get}\x01\r\n\r\n`, 400, 'malformed', 'HPE_INVALID_METHOD', {}],
  [
    'trailers that are too long',
    chunks(`0\r\nX: ${'x'.repeat(20_000)}`),
    431,
    'headers-too-large',
    'HPE_HEADER_OVERFLOW',
    {},
  ],
  ['a stall, by the patience of the server', half, 408, 'client-timeout', 'ERR_HTTP_REQUEST_TIMEOUT', checked],
]

describe('a request that is open', () => {
  it.each(cases)('ends by %s', async (_name, text, status, result, detail, options) => {
    const { server, balancer, port, one, denied } = await served(await silent('keep'), options)
    const reply = rawExchange(port, text)
    if (status === 408) {
      // Only now: where it is too late before the head has come there is no request.
      await until(() => balancer.snapshot().inFlight === 1)
      Object.assign(server, { headersTimeout: 1, requestTimeout: 1 })
    }
    expect(await reply).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(await one()).toMatchObject({
      http: { response: { status_code: status } },
      lb: { result, detail, ended_by: 'balancer', attempts: [{ result: 'client-gone' }] },
    })
    expect(await denied()).toMatchObject([{ access: { rule: 'malformed', phase: 'connection', detail } }])
  })

  it('keeps the status that its client has seen', async () => {
    const backend = await saying('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.')
    const { port, one } = await served(backend)
    const client = await rawClient(port, get)
    await client.has('half.')
    client.write('\x01\r\n\r\n')
    await client.ended
    expect(client.text().match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect(await one()).toMatchObject({ lb: { result: 'malformed' }, http: { response: { status_code: 200 } } })
  })

  it.each([half, chunks('5\r\nhello\r\n')])(
    'whose client ends its side has left, and did nothing wrong: %j',
    async (text) => {
      const { port, one, denials } = await served(await silent('keep'))
      const client = await rawClient(port, text)
      client.socket.end()
      await client.ended
      expect(await one()).toMatchObject({ lb: { result: 'client-gone', ended_by: 'client' } })
      expect(denials()).toEqual([])
    },
  )

  it('ends so too where the host answers it', async () => {
    const { balancer, one } = recorded({ backends: [] })
    const server = createHttpServer((request) => void request.resume())
    attach(server, balancer, { auditOnly: true })
    closeAfterTest(server)
    expect(await rawExchange(await listen(server), chunks('ZZ\r\n'))).toMatch(/^HTTP\/1\.1 400 /)
    expect(await one()).toMatchObject({
      lb: { result: 'malformed', detail: 'HPE_INVALID_CHUNK_SIZE' },
      http: { response: { status_code: 400 } },
    })
  })
})
