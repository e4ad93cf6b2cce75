// Poison: nothing that a client or a backend sends may throw past the hop, or cost the pool one of its connections.
import { describe, expect, it } from 'vitest'
import { answering, rawBackend } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { rawClient, rawExchange, send, valuesOf } from '../support/raw-client.ts'

const head = (more: string) => `GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${more}\r\n\r\n`

describe('a request that other proxies fall over', () => {
  for (const [name, text] of Object.entries({
    'Keep-Alive': head('Keep-Alive: timeout=5, max=10'),
    'Upgrade and HTTP2-Settings': head('Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA'),
    Trailer: 'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTrailer: X-T\r\nContent-Length: 2\r\n\r\nab',
    'trailers of its own':
      'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: 1\r\n\r\n',
    'Expect: 100-continue': head('Expect: 100-continue'),
    'Proxy-Connection and TE': head('Proxy-Connection: keep-alive\r\nTE: trailers, gzip;q=0.5'),
    'bytes above ASCII': head('X-A: \xff\xfe\x80\r\nCookie: \xe9=\xe9'),
    'names of JavaScript': head('__proto__: 1\r\nconstructor: 2\r\ntoString: 3\r\nhasOwnProperty: 4'),
    'an empty name in Connection': head('Connection: ,,,\r\nX-A: 1'),
    'an odd method': 'M-SEARCH /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    'a long target': `GET /${'a'.repeat(12_000)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    'many headers': head(Array.from({ length: 900 }, (_, i) => `X-${i}: ${i}`).join('\r\n')),
  })) {
    it(`passes: ${name}`, async () => {
      const backend = await answering()
      const limits = { targetBytes: 16_384, headers: 1000 }
      const { port, completed } = await edge([backend], { connections: { max: 1 }, limits })
      expect(await rawExchange(port, text)).toMatch(/HTTP\/1\.1 200 OK\r\n/)
      expect(await send(port)).toMatchObject({ status: 200 })
      const events = await completed(2)
      expect(events.map(({ lb }) => lb.result)).toEqual(['ok', 'ok'])
      // The one connection that there may be has carried both.
      expect(events[1]!.lb.attempts[0]!.reused).toBe(true)
      expect(backend.accepted()).toBe(1)
    })
  }
})

describe('a response that other proxies fall over', () => {
  const poison: Record<string, [number, string]> = {
    'bytes above ASCII': [200, 'HTTP/1.1 200 OK\r\nX-A: \xff\x80\r\nContent-Length: 2\r\n\r\nok'],
    'a NUL': [502, 'HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 2\r\n\r\nok'],
    'a control character': [502, 'HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 2\r\n\r\nok'],
    'a control character in Set-Cookie': [502, 'HTTP/1.1 200 OK\r\nSet-Cookie: a=\x02\r\nContent-Length: 2\r\n\r\nok'],
    'a DEL': [502, 'HTTP/1.1 200 OK\r\nX-A: \x7f\r\nContent-Length: 2\r\n\r\nok'],
    'a name with a space': [502, 'HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 2\r\n\r\nok'],
    'a status of 099': [502, 'HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok'],
    'headers of 64 KB': [502, `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(65_536)}\r\nContent-Length: 2\r\n\r\nok`],
    'Trailer with a length': [200, 'HTTP/1.1 200 OK\r\nTrailer: X-T\r\nContent-Length: 2\r\n\r\nok'],
    'Keep-Alive and Upgrade': [
      200,
      'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok',
    ],
    'no reason phrase': [200, 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok'],
    'an odd status': [999, 'HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok'],
    'names of JavaScript': [200, 'HTTP/1.1 200 OK\r\n__proto__: 1\r\nconstructor: 2\r\nContent-Length: 2\r\n\r\nok'],
    'more than its length': [
      200,
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
    ],
  }
  for (const [name, [status, text]] of Object.entries(poison)) {
    it(`is ${status}, and the next request passes: ${name}`, async () => {
      let poisoned = false
      const backend = await rawBackend((socket) => {
        socket.write(Buffer.from(poisoned ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext' : text, 'latin1'))
        poisoned = true
      })
      const { port, completed } = await edge([backend], { connections: { max: 1, queueTimeoutMs: 60_000 } })
      expect(await send(port)).toMatchObject({ status })
      expect(await send(port)).toMatchObject({ status: 200, body: 'next' })
      await completed(2)
    })
  }
})

describe('trailers that a client cannot be sent', () => {
  it('cost the client nothing but the trailers, or cut it off, and do not hang', async () => {
    const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: a\x01b\r\n\r\n'
    const { port, completed } = await edge([await rawBackend((socket) => socket.write(text, 'latin1'))])
    const client = await rawClient(port, head('X-A: 1'))
    await client.ended
    await completed(1)
  })
})

describe('the host', () => {
  it('that HTTP/1.0 does not name is not made up for X-Forwarded-Host', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await rawExchange(port, 'GET / HTTP/1.0\r\n\r\n')
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-forwarded-host')).toEqual([])
  })
})
