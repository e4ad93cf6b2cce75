// What comes before a response: hints, and the leave to go on.
import { request as httpRequest } from 'node:http'
import { describe, expect, it } from 'vitest'
import { answering, rawBackend, saying } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { rawExchange, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

describe('interim responses', () => {
  const hints = (link: string) =>
    saying(`HTTP/1.1 103 Early Hints\r\n${link}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
  const ask = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

  it('103 with Link reaches the client before the response', async () => {
    const { port } = await edge([await hints('Link: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload')])
    const text = await rawExchange(port, ask)
    expect(text).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload, <\/b\.js>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/,
    )
  })

  it('103 goes without what is for one connection only', async () => {
    const lines = 'Link: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nX-Secret: 1'
    const { port } = await edge([await hints(lines)])
    expect(await rawExchange(port, ask)).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/,
    )
  })

  it('103 several times reaches the client as often', async () => {
    const link = (name: string) => `HTTP/1.1 103 Early Hints\r\nLink: </${name}>; rel=preload\r\n\r\n`
    const backend = await saying(`${link('a')}${link('b')}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
    const { port } = await edge([backend])
    expect((await rawExchange(port, ask)).match(/<\/.>/g)).toEqual(['</a>', '</b>'])
  })

  it.each([102, 103])('up to a hundred of %i are no fault', async (status) => {
    const interim = `HTTP/1.1 ${status} Interim\r\n\r\n`.repeat(100)
    const { port, one } = await edge([await saying(`${interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)])
    expect(await rawExchange(port, ask)).toMatch(/^HTTP\/1\.1 200 OK/)
    expect((await one()).lb.result).toBe('ok')
  })

  it.each([102, 103])('%i without end is not waited for: 502', async (status) => {
    const backend = await rawBackend((socket) => {
      const pour = (): void => {
        while (!socket.destroyed && socket.write(`HTTP/1.1 ${status} Interim\r\n\r\n`));
      }
      socket.on('drain', pour).on('error', () => undefined)
      pour()
    })
    const { port, one } = await edge([backend], { retry: { retries: 0 } })
    expect(await rawExchange(port, ask)).toMatch(/^HTTP\/1\.1 502 /)
    expect((await one()).lb).toMatchObject({ result: 'response-invalid', detail: 'more than 100 interim responses' })
    await until(() => backend.sockets.size === 0)
  })

  it('103 with several links in one line reaches the client', async () => {
    const { port, one } = await edge([await hints('link: </a.css>; rel=preload, </b.js>;rel="preload"')])
    const text = await rawExchange(port, ask)
    expect(text).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload, <\/b\.js>;rel="preload"\r\n\r\nHTTP\/1\.1 200 OK/,
    )
    expect(await one()).toMatchObject({ lb: { result: 'ok' } })
  })

  for (const link of ['Link: no link at all', 'X-Other: 1', 'Link: </a>; title="a b"; rel=x']) {
    it(`103 that Node cannot send is dropped, and the response is not: ${link}`, async () => {
      const { port, one } = await edge([await hints(link)])
      expect(await rawExchange(port, ask)).toMatch(/^HTTP\/1\.1 200 OK/)
      expect(await one()).toMatchObject({ lb: { result: 'ok' } })
    })
  }

  it('other than 103 are not passed on', async () => {
    const backend = await saying('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    const { port } = await edge([backend])
    expect(await rawExchange(port, ask)).toMatch(/^HTTP\/1\.1 200 OK/)
  })
})

describe('an expectation', () => {
  it('of 100-continue is met here, and never forwarded', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'PUT',
      agent: false,
      headers: { expect: '100-continue', 'content-length': 4 },
    })
    request.flushHeaders()
    await new Promise<void>((resolve) => request.once('continue', resolve))
    request.end('body')
    await new Promise<void>((resolve) => request.once('response', (response) => response.resume().once('end', resolve)))
    expect(backend.seen).toMatchObject([{ method: 'PUT', body: 'body' }])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'expect')).toEqual([])
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { request: { body: { size: 4 } } } })
  })

  it('of anything else is 417, with a record', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    expect(await send(port, { headers: ['Expect', 'miracles'] })).toMatchObject({ status: 417 })
    expect(await one()).toMatchObject({
      lb: { result: 'expectation-failed', ended_by: 'balancer', attempts: [] },
      http: { response: { status_code: 417 } },
    })
    expect(backend.seen).toEqual([])
  })
})
