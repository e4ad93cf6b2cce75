// What every adapter promises, as one suite that runs over each of them.
import { METHODS } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { BalancerOptions } from '../../src/config.ts'
import type { Balancer } from '../../src/face.ts'
import { answering, echoing, halfResponses, httpBackend, refusing, saying } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { asking, switching } from '../support/switching.ts'
import { until } from '../support/until.ts'
import { passesOnTheWire } from './conformance-wire.ts'

export interface Harness {
  readonly name: string
  /** Where the balancer is mounted; empty where an adapter has no mounts. */
  readonly prefix: string
  /** What the records name as the route, where they name one. */
  readonly route?: string
  /** Those that the host lets through; by default all that Node knows. */
  readonly methods?: readonly string[]
  /** Whether the server has the records of `attach`. */
  readonly attached?: boolean
  /** Whether requests for another protocol are taken. */
  readonly upgrades?: boolean
  /** Starts a server; it gives every response the headers in `preset`. */
  start(balancer: Balancer, options: { preset: Preset | undefined }): Promise<number>
}

type Preset = Readonly<Record<string, string | readonly string[]>>

const allMethods = METHODS.filter((method) => method !== 'CONNECT')

/** What carries requests to backends: the suite runs over each, and these are the options that choose it. */
const transports: Readonly<Record<string, Partial<BalancerOptions>>> = {
  direct: {},
  undici: { transport: 'undici' },
  http: { transport: 'http' },
}

/** The headers that a host sets before the balancer gets the request. */
const preset = { 'set-cookie': 'host=1', 'x-host': ['1', '2'], 'x-theirs': 'host' } as const

/** Runs the suite over an adapter. */
export function conforms(harness: Harness): void {
  for (const [transport, options] of Object.entries(transports))
    describe(`${harness.name}, with ${transport}`, () => conformsWith(harness, options))
}

function conformsWith(
  { prefix, route, methods = allMethods, attached = false, upgrades = false, start }: Harness,
  transport: Partial<BalancerOptions>,
): void {
  const serve = async (
    backend: { readonly url: string } | undefined,
    given?: Preset,
    options: Partial<BalancerOptions> = {},
  ) => {
    const record = recorded({ ...transport, ...options, backends: backend === undefined ? [] : [backend] })
    return { ...record, port: await start(record.balancer, { preset: given }) }
  }
  const target = `${prefix}/x`

  passesOnTheWire({ prefix, route, attached, serve: (backend) => serve(backend) })

  describe('each request', () => {
    it('passes a GET on, with path and query', async () => {
      const backend = await answering()
      const { port, one } = await serve(backend)
      expect(await send(port, { path: `${target}?a=1&a=%202` })).toMatchObject({ status: 200, body: 'ok' })
      expect(backend.seen).toMatchObject([{ method: 'GET', url: '/x?a=1&a=%202' }])
      const { url, lb } = await one()
      expect(lb.result).toBe('ok')
      expect(url.path).toBe('/x')
      expect(url.original_path).toBe(prefix === '' ? undefined : target)
      expect(url.query).toEqual({ a: { length: 3 } })
    })

    if (prefix !== '') {
      it('strips its mount from the bare path too', async () => {
        const backend = await answering()
        const { port, completed } = await serve(backend)
        for (const path of [prefix, `${prefix}/`, `${prefix}?q=1`]) await send(port, { path })
        expect(backend.seen.map(({ url }) => url)).toEqual(['/', '/', '/?q=1'])
        expect((await completed(3)).map(({ url }) => [url.path, url.original_path])).toEqual([
          ['/', prefix],
          ['/', `${prefix}/`],
          ['/', prefix],
        ])
      })
    }

    for (const method of ['HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      it(`passes ${method} on`, async () => {
        const backend = await answering()
        const { port } = await serve(backend)
        expect(await send(port, { method, path: target })).toMatchObject({ status: 200 })
        expect(backend.seen).toMatchObject([{ method, url: '/x' }])
      })
    }

    for (const type of ['application/octet-stream', 'application/json', 'text/plain', undefined]) {
      it(`streams the body of a POST, whatever its type: ${type ?? 'none'}`, async () => {
        const { port, one } = await serve(await echoing())
        const head = `POST ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${type === undefined ? '' : `Content-Type: ${type}\r\n`}`
        const client = await rawClient(port, `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n`)
        await client.has('first')
        client.write('4\r\nlast\r\n0\r\n\r\n')
        await client.ended
        expect(client.text()).toContain('last')
        expect(await one()).toMatchObject({ http: { request: { body: { size: 9 } }, response: { body: { size: 9 } } } })
      })
    }

    it('takes a body of many megabytes', async () => {
      const backend = await answering()
      const { port, one } = await serve(backend)
      const body = 'x'.repeat(5_000_000)
      await send(port, { method: 'POST', path: target, body, headers: ['Content-Type', 'application/x-big'] })
      expect(backend.seen[0]!.body).toHaveLength(5_000_000)
      await one()
    })

    it('keeps duplicate headers both ways', async () => {
      const backend = await saying('HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n')
      const { port } = await serve(backend)
      const reply = await send(port, { path: target, headers: ['X-B', '1', 'x-B', '2'] })
      expect(valuesOf(reply.rawHeaders, 'x-a')).toEqual(['1', '2'])
      // Over `node:http` all have the case of the first.
      expect(backend.received[0]).toMatch(
        transport.transport === 'http' ? /X-B: 1\r\nX-B: 2\r\n/ : /X-B: 1\r\nx-B: 2\r\n/,
      )
    })

    it('keeps headers that the host set before, and every Set-Cookie of both', async () => {
      const backend = await saying(
        'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Theirs: backend\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok',
      )
      const { port } = await serve(backend, preset)
      const reply = await send(port, { path: target })
      expect(reply).toMatchObject({ status: 200, body: 'ok' })
      expect(valuesOf(reply.rawHeaders, 'set-cookie').sort()).toEqual(['a=1', 'b=2', 'host=1'])
      expect(valuesOf(reply.rawHeaders, 'x-host').join(', ')).toBe('1, 2')
      expect(valuesOf(reply.rawHeaders, 'x-theirs')).toEqual(['backend'])
    })

    it('binds a client by a cookie beside those of the backend and of the host', async () => {
      const one = await saying('HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 3\r\n\r\none')
      const two = await saying('HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 3\r\n\r\ntwo')
      for (const given of [undefined, { ...preset, 'cache-control': 'max-age=60' }]) {
        const affinity = { cookie: { secret: 'a secret of sixteen or more characters' } }
        const record = recorded({ ...transport, backends: [one, two], strategy: 'round-robin', affinity })
        const port = await start(record.balancer, { preset: given })
        const first = await send(port, { path: target })
        const cookies = valuesOf(first.rawHeaders, 'set-cookie')
        const bound = cookies.find((cookie) => /^lb=[\w.-]{35}; /.test(cookie))!
        const others = given === undefined ? ['a=1'] : ['a=1', 'host=1']
        expect(cookies.sort()).toEqual([...others, bound].sort())
        const caching = given === undefined ? [] : ['max-age=60']
        expect(valuesOf(first.rawHeaders, 'cache-control')).toEqual([...caching, 'private'])
        for (let i = 0; i < 3; i++) {
          const again = await send(port, { path: target, headers: ['Cookie', bound.split(';')[0]!] })
          expect(again.body).toBe(first.body)
          expect(valuesOf(again.rawHeaders, 'set-cookie').sort()).toEqual(others)
          expect(valuesOf(again.rawHeaders, 'cache-control')).toEqual(caching)
        }
        const records = await record.completed(4)
        expect(records.map(({ lb }) => lb.decision?.sticky)).toEqual(['sticky-new', ...Array(3).fill('sticky-kept')])
      }
      expect([...one.received, ...two.received].join('')).not.toMatch(/cookie/i)
    })

    it('answers 502, and no header of what was not sent, when a response is refused after the host set headers', async () => {
      const { port, one } = await serve(
        await saying('HTTP/1.1 099 Odd\r\nETag: x\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n'),
        preset,
      )
      const reply = await send(port, { path: target })
      expect(reply).toMatchObject({ status: 502, complete: true })
      expect(reply.headers.etag).toBeUndefined()
      expect(valuesOf(reply.rawHeaders, 'set-cookie')).toEqual(['host=1'])
      await one()
    })

    for (const framing of [
      { 'content-length': '2' },
      { 'transfer-encoding': 'chunked' },
      { connection: 'close', 'keep-alive': 'timeout=9' },
      { trailer: 'x-none' },
    ]) {
      it(`frames by what the backend sends, not by what the host set before: ${Object.keys(framing)}`, async () => {
        const chunks = '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'
        const backend = await saying(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`)
        const { port, completed } = await serve(backend, framing)
        const reply = await send(port, { path: target })
        expect(reply).toMatchObject({ status: 200, body: 'hello world', complete: true })
        for (const name of ['content-length', 'trailer']) expect(valuesOf(reply.rawHeaders, name)).toEqual([])
        expect(reply.headers['keep-alive']).not.toBe('timeout=9')
        // On a connection that goes on, nothing is left over from one response to the next.
        const client = await rawClient(port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
        await client.ended
        expect(client.text().match(/HTTP\/1\.1/g)).toHaveLength(1)
        expect(client.text()).toMatch(/hello[\r\nb6]* world/)
        await completed(2)
      })
    }

    it('keeps the length of its own answers where the host set another', async () => {
      const { port } = await serve(undefined, { 'content-length': '2' })
      const reply = await send(port, { path: target })
      expect(reply).toMatchObject({ status: 503, complete: true })
      expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'no-backend' } })
    })

    it('takes the authority of a target in absolute form for the host, and no part of it for the path', async () => {
      const backend = await answering()
      const { port, one } = await serve(backend)
      expect(await send(port, { path: `http://other.test:81${target}?q=1` })).toMatchObject({ status: 200 })
      expect(backend.seen).toMatchObject([{ url: '/x?q=1' }])
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-forwarded-host')).toEqual(['other.test:81'])
      await one()
    })

    if (prefix !== '') {
      for (const path of [
        '/../admin',
        '/../../admin',
        '/x/..',
        '/./x?y',
        '/%2e%2E/admin',
        '/.%2e/admin',
        '/..\\admin',
        '/..%2fadmin',
        '/..%5Cadmin',
        '/x%2f../admin',
        '/..;p=1/admin',
      ]) {
        for (const origin of ['', 'http://a']) {
          it(`refuses a dot segment below its mount: ${origin}${prefix}${path}`, async () => {
            const backend = await answering()
            const { port, one } = await serve(backend)
            const client = await rawClient(port, `GET ${origin}${prefix}${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
            await client.ended
            expect(client.text()).toMatch(/^HTTP\/1\.1 400 /)
            const { lb, url } = await one()
            expect(lb).toMatchObject({ result: 'malformed' })
            expect(url.original_path).toBe(`${origin}${prefix}${path.replace('?y', '').replace('\\', '\\\\')}`)
            expect(backend.seen).toEqual([])
          })
        }
      }

      it('passes on dots that are no segment', async () => {
        const backend = await answering()
        const { port } = await serve(backend)
        const paths = ['/.well-known/x', '/...', '/a..b/..c', '/x?p=/../y', '/%2e%2e%2ex']
        for (const path of paths) await send(port, { path: prefix + path })
        expect(backend.seen.map(({ url }) => url)).toEqual(paths)
      })
    }

    it('passes every method on', async () => {
      const backend = await answering()
      const { port, completed } = await serve(backend)
      for (const method of methods)
        expect([method, (await send(port, { method, path: target })).status]).toEqual([method, 200])
      expect(backend.seen.map(({ method }) => method)).toEqual(methods)
      await completed(methods.length)
    })

    for (const method of ['POST', 'DELETE', 'QUERY', 'PROPFIND'].filter((one) => methods.includes(one))) {
      for (const type of ['foo', '', 'foo/', '/; a', 'text/html;charset', undefined]) {
        it(`passes the body of a ${method} on whose Content-Type is ${type}`, async () => {
          const backend = await answering()
          const { port, one } = await serve(backend)
          const headers = type === undefined ? [] : ['Content-Type', type]
          expect(await send(port, { method, path: target, body: 'body', headers })).toMatchObject({ status: 200 })
          expect(backend.seen).toMatchObject([{ method, url: '/x', body: 'body' }])
          expect(valuesOf(backend.seen[0]!.rawHeaders, 'content-type')).toEqual(type === undefined ? [] : [type])
          await one()
        })
      }
    }

    it('keeps trailers', async () => {
      const { port } = await serve(
        await saying('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n'),
      )
      expect(await send(port, { path: target })).toMatchObject({ body: 'ok', trailers: ['X-T', '1'] })
    })

    it('tells the backend when the client leaves', async () => {
      const backend = await httpBackend((_request, response) => response.write('some'))
      const { port, one } = await serve(backend)
      const client = await rawClient(port, `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
      await client.has('some')
      client.socket.destroy()
      expect(await one()).toMatchObject({ lb: { result: 'client-gone' }, http: { response: { status_code: 499 } } })
      await until(() => backend.sockets.size === 0)
    })

    it('cuts the client off when the backend leaves', async () => {
      const { port, one } = await serve(await saying(halfResponses.chunked, 'fin'))
      expect(await send(port, { path: target })).toMatchObject({ status: 200, complete: false })
      expect(await one()).toMatchObject({ lb: { result: 'backend-cut' } })
    })

    it('refuses a body that is too large, whether its length is told or not', async () => {
      const backend = await answering()
      const { port, completed } = await serve(backend, undefined, { limits: { bodyBytes: 8 } })
      const body = 'more than eight'
      for (const headers of [[], ['Transfer-Encoding', 'chunked']])
        expect(await send(port, { method: 'POST', path: target, body, headers })).toMatchObject({ status: 413 })
      expect(await send(port, { method: 'POST', path: target, body: 'eight...' })).toMatchObject({ status: 200 })
      // Of the second the head may have gone on, for its length was not told.
      expect(backend.seen.map(({ body }) => body).filter((whole) => whole !== '')).toEqual(['eight...'])
      expect((await completed(3)).map(({ lb, http }) => [lb.result, http.response.status_code])).toEqual([
        ['too-large', 413],
        ['too-large', 413],
        ['ok', 200],
      ])
    })

    if (upgrades) {
      it('hands a connection over that the backend switches to another protocol', async () => {
        const backend = await switching()
        const { port, one } = await serve(backend)
        const client = await rawClient(port, asking('chat').replace('/chat', `${target}?a=1`))
        await client.has('HTTP/1.1 101 ')
        client.write('hello')
        await client.has('hello')
        client.socket.end()
        expect(backend.heads[0]).toMatch(/^GET \/x\?a=1 HTTP\/1\.1\r\n/)
        const { http, lb, url } = await one()
        expect([http.route, http.response.status_code, lb.result, url.path]).toEqual([route, 101, 'ok', '/x'])
      })

      it('passes the answer on where the backend does not switch', async () => {
        const { port, one } = await serve(await answering())
        const client = await rawClient(port, asking('chat').replace('/chat', target))
        await client.ended
        expect(client.text()).toMatch(/^HTTP\/1\.1 200 [\s\S]*ok/)
        expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 200 } } })
      })
    }

    it('maps failures', async () => {
      const [refused, none] = [await serve(await refusing()), await serve(undefined)]
      expect(await send(refused.port, { path: target })).toMatchObject({ status: 502 })
      expect(await refused.one()).toMatchObject({ lb: { result: 'connect-refused' } })
      expect(await send(none.port, { path: target })).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
      expect(await none.one()).toMatchObject({ lb: { result: 'no-backend' } })
    })

    it('refuses what is not well-formed', async () => {
      const backend = await answering()
      const { port, one } = await serve(backend)
      const client = await rawClient(port, `GET ${target} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`)
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 400 /)
      expect(await one()).toMatchObject({ lb: { result: 'malformed' } })
      expect(backend.seen).toEqual([])
    })
  })
}
