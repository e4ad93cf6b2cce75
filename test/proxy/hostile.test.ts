// What a client or a backend says to be believed, or to be misread.
import { createServer as createTlsServer } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { answering, saying } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge } from '../support/edge.ts'
import { namesOf, rawExchange, send } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'

const close = 'Connection: close\r\n'

describe('a client', () => {
  it('cannot choose the name that a TLS backend is verified by', async () => {
    const names: string[] = []
    const server = createTlsServer({
      ...selfSigned(),
      SNICallback: (name, callback) => {
        names.push(name)
        callback(null)
      },
    })
    server.on('tlsClientError', () => undefined)
    closeAfterTest(server)
    const port = await listen(server)
    const byAddress = await edge([`https://127.0.0.1:${port}`])
    await rawExchange(byAddress.port, `GET / HTTP/1.1\r\nHost: evil.example\r\n${close}\r\n`)
    expect(names).toEqual([])
    const byName = await edge([`https://localhost:${port}`])
    await rawExchange(byName.port, `GET / HTTP/1.1\r\nHost: evil.example\r\n${close}\r\n`)
    expect(names).toEqual(['localhost'])
  })

  it('cannot speak in the name of the balancer, by any X-Forwarded field or an underscore', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    const said = ['X-Forwarded-User: admin', 'X-Forwarded-Prefix: /', 'X_Forwarded_For: 1.2.3.4', 'X-Request_Id: mine']
    await rawExchange(port, `GET / HTTP/1.1\r\nHost: a\r\n${said.join('\r\n')}\r\nX-Own: kept\r\n${close}\r\n`)
    const names = namesOf(backend.seen[0]!.rawHeaders).map((name) => name.toLowerCase())
    expect(names.filter((name) => /forwarded|request.id/.test(name)).sort()).toEqual([
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-port',
      'x-forwarded-proto',
      'x-request-id',
    ])
    expect(names).toContain('x-own')
  })

  it('cannot hide the length of a body behind more headers than Node reads', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend], { limits: { headers: 1000 } })
    const many = 'a:b\r\n'.repeat(1200)
    const text = await rawExchange(port, `POST / HTTP/1.1\r\nHost: a\r\n${many}Content-Length: 5\r\n\r\nhello`)
    expect(text).toMatch(/^HTTP\/1\.1 431 /)
    expect((await one()).lb).toMatchObject({ result: 'headers-too-large', detail: 'more lines than can be read' })
    expect(backend.seen).toEqual([])
  })

  it('cannot hide it either where the server is set to read fewer', async () => {
    const backend = await answering()
    const { port, server, one } = await edge([backend])
    server.maxHeadersCount = 10
    const many = 'a:b\r\n'.repeat(60)
    const text = await rawExchange(port, `POST / HTTP/1.1\r\nHost: a\r\n${many}Content-Length: 5\r\n\r\nhello`)
    expect(text).toMatch(/^HTTP\/1\.1 431 /)
    expect((await one()).lb).toMatchObject({ result: 'headers-too-large', detail: 'more lines than can be read' })
    expect(backend.seen).toEqual([])
  })

  it('without a Host is refused with a record', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend])
    for (const target of ['/', 'http://a/']) {
      expect(await rawExchange(port, `GET ${target} HTTP/1.1\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /)
    }
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['malformed', 'malformed'])
    expect(backend.seen).toEqual([])
  })

  it('of HTTP/1.0 gets no interim response', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    const backend = await saying(`${hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
    const { port } = await edge([backend])
    expect(await rawExchange(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })
})

describe('a backend', () => {
  it.each(['gzip, chunked', 'gzip', 'identity'])(
    'that answers in the transfer coding %s is not passed on',
    async (coding) => {
      const backend = await saying(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n`, 'fin')
      const { port, one } = await edge([backend], { retry: { retries: 0 } })
      expect(await send(port)).toMatchObject({ status: 502 })
      expect((await one()).lb.result).toBe('response-invalid')
    },
  )
})
