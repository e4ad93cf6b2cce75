// What every adapter promises on the wire: framing, what comes before and after a response, and what becomes of a connection.
import { describe, expect, it } from 'vitest'
import { answering, halfResponses, httpBackend, rawBackend, refusing, saying, silent } from '../support/backends.ts'
import type { Recorded } from '../support/edge.ts'
import { rawClient, rawExchange, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

export interface Wired {
  readonly prefix: string
  /** What the records name as the route. */
  readonly route: string | undefined
  /** Whether what the server refuses by itself has a record. */
  readonly attached: boolean
  serve(backend: { readonly url: string } | undefined): Promise<Recorded & { readonly port: number }>
}

const head = (status: string, ...headers: string[]): string =>
  `HTTP/1.1 ${status}\r\n${[...headers, '', ''].join('\r\n')}`

/** Bodies by the way in which a response can tell its end, and what an empty one looks like. */
const responses = {
  'a length': `${head('200 OK', 'Content-Length: 5')}hello`,
  chunks: `${head('200 OK', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
  'no length': `${head('200 OK', 'Connection: close')}hello`,
  'no body': head('200 OK', 'Content-Length: 0'),
  '204': head('204 No Content'),
  '304': head('304 Not Modified', 'ETag: "x"', 'Content-Length: 5'),
  'an error': `${head('500 Internal Server Error', 'Content-Length: 5')}hello`,
} as const

export function passesOnTheWire({ prefix, route, attached, serve }: Wired): void {
  const target = `${prefix}/x`
  const get = (...headers: string[]): string =>
    `${[`GET ${target} HTTP/1.1`, 'Host: a', ...headers].join('\r\n')}\r\n\r\n`
  const last = get('Connection: close')
  const statuses = (text: string): string[] => [...text.matchAll(/HTTP\/1\.[01] (\d+)/g)].map(([, status]) => status!)

  describe('before the response', () => {
    it('passes 103 on, and then the response', async () => {
      const hint = head('103 Early Hints', 'Link: </a.css>; rel=preload', 'X-Hint: 1')
      const { port, one } = await serve(await saying(hint + responses['a length']))
      const text = await rawExchange(port, last)
      expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n/)
      expect(statuses(text)).toEqual(['103', '200'])
      expect(text).toMatch(/hello$/)
      expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 200 } } })
    })

    it('answers an expectation of 100-continue itself, and sends none on', async () => {
      const backend = await answering()
      const { port, one } = await serve(backend)
      const client = await rawClient(
        port,
        `PUT ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`,
      )
      await client.has('HTTP/1.1 100 Continue\r\n\r\n')
      client.write('body')
      await client.ended
      expect(statuses(client.text())).toEqual(['100', '200'])
      expect(backend.seen).toMatchObject([{ method: 'PUT', url: '/x', body: 'body' }])
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'expect')).toEqual([])
      expect(await one()).toMatchObject({ http: { request: { body: { size: 4 } } }, lb: { result: 'ok' } })
    })

    it('refuses any other expectation with 417', async () => {
      const backend = await answering()
      const { port, one } = await serve(backend)
      expect(await send(port, { path: target, headers: ['Expect', 'miracles'] })).toMatchObject({ status: 417 })
      expect(backend.seen).toEqual([])
      if (attached) expect(await one()).toMatchObject({ lb: { result: 'expectation-failed' } })
    })

    it('passes a response on that comes before the body of its request was read', async () => {
      const { port, one } = await serve(await saying(`${head('403 Forbidden', 'Content-Length: 2')}no`))
      const client = await rawClient(port, `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst`)
      await client.has(/\r\n\r\nno$/)
      expect(statuses(client.text())).toEqual(['403'])
      client.write('last')
      expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 403 } } })
    })
  })

  describe('the response', () => {
    for (const [name, response] of Object.entries(responses)) {
      it(`with ${name} is framed as its own, on a connection that goes on`, async () => {
        const backend = await rawBackend((socket) => {
          const closes = response.includes('Connection: close')
          if (closes) socket.end(response)
          else socket.write(response)
        })
        const { port, completed } = await serve(backend)
        const client = await rawClient(port, get())
        const status = response.slice(9, 12)
        const size = response.endsWith('hello') || name === 'chunks' ? 5 : 0
        await client.has(size === 0 ? /\r\n\r\n$/ : /hello(?:\r\n0\r\n\r\n)?$/)
        client.write(last)
        await client.ended
        expect(statuses(client.text())).toEqual([status, status])
        expect(client.text().split('hello')).toHaveLength(size === 0 ? 1 : 3)
        if (status === '204') expect(client.text()).not.toMatch(/content-length|transfer-encoding/i)
        const events = await completed(2)
        expect(events.map(({ http, lb }) => [lb.result, http.response])).toEqual(
          Array(2).fill(['ok', { body: { size }, status_code: Number(status) }]),
        )
      })
    }

    it('to HEAD keeps the length of what is not sent', async () => {
      const { port, completed } = await serve(await saying(head('200 OK', 'Content-Length: 5', 'X-CaSe: 1')))
      const client = await rawClient(port, get().replace('GET', 'HEAD'))
      await client.has(/Content-Length: 5\r\n[\s\S]*\r\n\r\n$/)
      client.write(last.replace('GET', 'HEAD'))
      await client.ended
      expect(statuses(client.text())).toEqual(['200', '200'])
      expect(client.text()).toMatch(/^X-CaSe: 1\r$/m)
      await completed(2)
    })

    it('to HTTP/1.0 has no chunks, and ends with its connection', async () => {
      const { port, completed } = await serve(await saying(responses.chunks))
      for (const more of ['', 'Connection: keep-alive\r\n']) {
        const text = await rawExchange(port, `GET ${target} HTTP/1.0\r\n${more}\r\n`)
        expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhello$/)
        expect(text).not.toMatch(/transfer-encoding/i)
      }
      expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['ok', 'ok'])
    })

    it('brings each event of a stream as it comes', async () => {
      let begun = false
      let write = (_text: string): void => undefined
      let end = (): void => undefined
      const backend = await httpBackend((_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        begun = true
        write = (text) => void response.write(`data: ${text}\n\n`)
        end = () => void response.end()
      })
      const { port, one } = await serve(backend)
      const client = await rawClient(port, last)
      await until(() => begun)
      for (const text of ['one', 'two', 'three']) {
        write(text)
        await client.has(`data: ${text}\n\n`)
      }
      end()
      await client.ended
      expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: 35 } } } })
    })

    for (const [name, half] of Object.entries(halfResponses)) {
      it(`that is cut off is cut off for the client too: ${name}`, async () => {
        const backend = await saying(half)
        const { port, one } = await serve(backend)
        const client = await rawClient(port, get())
        await client.has('half.')
        for (const socket of backend.sockets) socket.resetAndDestroy()
        await client.ended
        expect(client.text()).not.toMatch(/\r\n0\r\n\r\n$/)
        expect(await one()).toMatchObject({ lb: { result: 'backend-cut', ended_by: 'backend' } })
      })
    }
  })

  describe('a connection', () => {
    it('goes on after answers of our own', async () => {
      for (const [backend, status] of [
        [undefined, '503'],
        [await refusing(), '502'],
        [await silent('fin'), '502'],
      ] as const) {
        const { port, completed } = await serve(backend)
        const client = await rawClient(port, get())
        await client.has(/"request_id":"[^"]+"\}\}\n$/)
        client.write(last)
        await client.ended
        expect(statuses(client.text())).toEqual([status, status])
        await completed(2)
      }
    })

    it('carries requests that were sent before their turn, in order', async () => {
      const backend = await answering((response, request) => response.end(`<${request.url}>`))
      const { port, completed } = await serve(backend)
      const asked = ['/x/1', '/x/2', '/x/3']
      const text = asked.map((path) => `GET ${prefix}${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join('') + last
      expect((await rawExchange(port, text)).match(/<[^>]*>/g)).toEqual([...asked, '/x'].map((path) => `<${path}>`))
      expect(new Set((await completed(4)).map(({ lb }) => lb.request_id)).size).toBe(4)
    })

    it('that was left before a response cancels the request to the backend', async () => {
      const backend = await rawBackend(() => undefined)
      const { port, one } = await serve(backend)
      const client = await rawClient(port, get())
      await until(() => backend.received.join('').includes('\r\n\r\n'))
      client.socket.destroy()
      await until(() => backend.sockets.size === 0)
      expect(await one()).toMatchObject({
        lb: { result: 'client-gone', ended_by: 'client', attempts: [{ result: 'client-gone' }] },
        http: { response: { status_code: 499 } },
      })
    })

    it('that was left within the body of a request cancels it', async () => {
      const backend = await rawBackend(() => undefined)
      const { port, one } = await serve(backend)
      const client = await rawClient(port, `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst`)
      await until(() => backend.received.join('').endsWith('first'))
      client.socket.destroy()
      await until(() => backend.sockets.size === 0)
      expect(await one()).toMatchObject({ lb: { result: 'client-gone' }, http: { request: { body: { size: 5 } } } })
    })
  })

  describe('the record', () => {
    it('tells where it came in and what was asked for, once', async () => {
      const { port, one, events } = await serve(await answering())
      await send(port, { method: 'POST', path: `${target}/y?a=1`, body: 'body', headers: ['X-Request-Id', 'theirs'] })
      const { http, url, lb, client } = await one()
      expect([http.route, url.path, url.original_path]).toEqual([
        route,
        '/x/y',
        prefix === '' ? undefined : `${prefix}/x/y`,
      ])
      expect([http.request.method, http.request.body.size, http.response]).toEqual([
        'POST',
        4,
        { body: { size: 2 }, status_code: 200 },
      ])
      expect([lb.client_request_id, lb.ended_by, lb.attempts.length, client.address]).toEqual([
        'theirs',
        'backend',
        1,
        '127.0.0.1',
      ])
      expect(events.filter(({ event_name }) => event_name === 'request.completed')).toHaveLength(1)
    })

    it('is there for what was refused, with the path as it came', async () => {
      const { port, one } = await serve(undefined)
      await send(port, { path: `${target}?a=1` })
      const { http, url, lb } = await one()
      expect([http.route, url.original_path ?? url.path, lb.result, http.response.status_code]).toEqual([
        route,
        target,
        'no-backend',
        503,
      ])
    })
  })
}
