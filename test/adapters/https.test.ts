// Servers with TLS: requests as over any connection, and a record of each handshake that fails.
import { X509Certificate } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { type ConnectionOptions, connect } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createServer } from '../../src/adapters/node.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { rawClient, rawExchange, valuesOf } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'

let made: ReturnType<typeof selfSigned> | undefined
const own = () => {
  made ??= selfSigned()
  return made
}

const kinds = [
  ['https', false],
  ['http2', true],
] as const

async function encrypted(http2: boolean, tls: object = {}) {
  const backend = await answering()
  const record = recorded({ backends: [backend] })
  const options = { tls: { ...own(), ...tls } }
  const server = http2
    ? createServer(record.balancer, { ...options, http2 })
    : createServer(record.balancer, { ...options, http2 })
  closeAfterTest(server)
  return { ...record, backend, server, port: await listen(server) }
}

/** Sends a request over TLS; resolves with what comes back, or with the code of what goes wrong. */
function ask(
  port: number,
  options: ConnectionOptions = {},
  text = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
) {
  return new Promise<string>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
    onTestFinished(() => void socket.destroy())
    let got = ''
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('data', (chunk: Buffer) => {
      got += chunk
    })
    socket.on('close', () => resolve(got))
    socket.write(text)
  })
}

const line = (detail: unknown) => ({
  access: { rule: 'tls-handshake', phase: 'connection', detail },
  client: { address: '127.0.0.1', source: 'peer' },
  network: { peer: { address: '127.0.0.1' } },
})

describe.each(kinds)('createServer with tls: %s', (_name, http2) => {
  it('takes requests of HTTP/1.1, and tells the backend that they came by https', async () => {
    const { port, one, backend } = await encrypted(http2)
    expect(await ask(port)).toMatch(/^HTTP\/1\.1 200 /)
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-forwarded-proto')).toEqual(['https'])
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, network: { protocol: { version: '1.1' } } })
  })

  it('records a request that is not encrypted', async () => {
    const { port, denied } = await encrypted(http2)
    await rawExchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await denied()).toMatchObject([line('ERR_SSL_HTTP_REQUEST')])
  })

  it('records a version that is too old', async () => {
    const { port, denied } = await encrypted(http2, { minVersion: 'TLSv1.3' })
    await ask(port, { maxVersion: 'TLSv1.2' })
    expect(await denied()).toMatchObject([line('ERR_SSL_UNSUPPORTED_PROTOCOL')])
  })

  it('records a client without a certificate where one is asked for', async () => {
    const { port, denied, backend } = await encrypted(http2, {
      requestCert: true,
      rejectUnauthorized: true,
      ca: own().cert,
    })
    await ask(port)
    expect(await denied()).toMatchObject([line('ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')])
    expect(backend.seen).toEqual([])
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('records a client whose certificate is not trusted: %s', async (version) => {
    const { port, denied, backend } = await encrypted(http2, {
      requestCert: true,
      rejectUnauthorized: true,
      ca: own().cert,
    })
    await ask(port, { ...selfSigned('stranger'), maxVersion: version })
    expect(await denied()).toMatchObject([line('DEPTH_ZERO_SELF_SIGNED_CERT')])
    expect(backend.seen).toEqual([])
    expect(await ask(port, own())).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('tells by which certificate a client was authenticated, and nothing of one that it does not trust', async () => {
    const asking = { requestCert: true, rejectUnauthorized: false, ca: own().cert }
    const { port, completed } = await encrypted(http2, asking)
    await ask(port, own())
    await ask(port, selfSigned('stranger'))
    await ask(port, { maxVersion: 'TLSv1.2' })
    const records = await completed(3)
    expect(records.map(({ tls }) => [tls?.protocol.version, tls?.client?.subject])).toEqual([
      ['1.3', 'CN=localhost'],
      ['1.3', undefined],
      ['1.2', undefined],
    ])
    expect(records[0]!.tls).toMatchObject({
      cipher: expect.stringMatching(/^TLS_/),
      client: { hash: { sha256: new X509Certificate(own().cert).fingerprint256.replaceAll(':', '') } },
    })
  })

  it('records a handshake that takes too long, once, and ends the connection', async () => {
    const { port, denied } = await encrypted(http2, { handshakeTimeout: 50 })
    const client = await rawClient(port)
    await client.ended
    expect(await denied()).toMatchObject([line('ERR_TLS_HANDSHAKE_TIMEOUT')])
  })

  it('records what is no HTTP behind a handshake that succeeds, and answers it', async () => {
    const { port, denied } = await encrypted(http2)
    expect(await ask(port, {}, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await denied()).toMatchObject([{ access: { rule: 'malformed', detail: expect.stringMatching(/^HPE_/) } }])
  })

  it('records a head that is too long, and answers it', async () => {
    const { port, denied } = await encrypted(http2)
    const long = `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`
    expect(await ask(port, {}, long)).toMatch(/^HTTP\/1\.1 431 /)
    expect(await denied()).toMatchObject([{ access: { rule: 'malformed', detail: 'HPE_HEADER_OVERFLOW' } }])
  })

  it('records nothing of a client that connects and leaves', async () => {
    const { port, denials, one } = await encrypted(http2)
    for (const way of ['destroy', 'resetAndDestroy'] as const) {
      const socket = connectTcp(port, '127.0.0.1')
      await new Promise<void>((resolve) => socket.once('connect', resolve))
      socket[way]()
    }
    expect(await ask(port)).toMatch(/ 200 /)
    await one()
    expect(denials()).toEqual([])
  })
})

describe('createServer with tls and http2', () => {
  it('records a client that speaks neither by ALPN', async () => {
    const { port, denied } = await encrypted(true)
    await ask(port, { ALPNProtocols: ['gopher'] })
    expect(await denied()).toMatchObject([line(expect.stringMatching(/ALPN|APPLICATION_PROTOCOL/))])
  })

  it('records a client of HTTP/1.1 where that is not allowed, and answers it', async () => {
    const record = recorded({ backends: [await answering()] })
    const server = createServer(record.balancer, { tls: own(), http2: true, allowHTTP1: false })
    closeAfterTest(server)
    const port = await listen(server)
    expect(await ask(port)).toMatch(/^HTTP\/1\.1 505 /)
    expect(await record.denied()).toMatchObject([{ access: { rule: 'unknown-protocol', phase: 'connection' } }])
  })
})
