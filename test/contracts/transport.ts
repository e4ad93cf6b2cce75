// What every transport must keep: the contract of src/transport.ts, as tests.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Transport } from '../../src/transport.ts'
import type { TransportSettings } from '../../src/transports/settings.ts'
import { attempt, type Said, type Told, transportOf } from '../support/attempt.ts'
import { refusing, type TestBackend } from '../support/backends.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

type Listener = (request: IncomingMessage, response: ServerResponse) => void
/** Makes a backend that the transport speaks to. `streams`: how many requests it takes at once on a connection. */
export type Serve = (listener: Listener, streams?: number) => Promise<TestBackend>

interface Traits {
  /** Whether the case of names goes through. */
  readonly keepsCase: boolean
  /** Whether what the handler throws anywhere is told, and not only at the response. */
  readonly guardsAll: boolean
  /** Whether it measures the times of a response by a clock of its own, and not by the one that it is given. */
  readonly ownTimers?: boolean
}

/** All of a request, then the answer. */
const afterBody =
  (answer: (response: ServerResponse, body: Buffer, request: IncomingMessage) => void): Listener =>
  (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(response, Buffer.concat(chunks), request))
  }
const ok = afterBody((response) => response.end('ok'))

export function keepsTheContract(
  name: string,
  make: (settings: TransportSettings) => Transport,
  serve: Serve,
  { keepsCase, guardsAll, ownTimers = false }: Traits,
): void {
  const made = (said?: Said) => transportOf(make, said)

  describe(`${name}: a request`, () => {
    it('passes with method, path, headers and body, and so does its response', async () => {
      let seen: IncomingMessage | undefined
      const backend = await serve(
        afterBody((response, body, request) => {
          seen = request
          response.setHeader('Set-Cookie', ['a=1', 'b=2'])
          response.setHeader('X-Latin', 'caf\xe9')
          response.statusCode = 201
          response.end(body)
        }),
      )
      const headers = ['host', 'shop.test', 'X-A', '1', 'Cookie', 'a=b', '__proto__', 'p', 'X-Latin', 'caf\xe9']
      const told = await attempt(made(), backend.url, {
        method: 'PATCH',
        path: '/a%2Fb?x=1&x=2',
        headers,
        body: Buffer.from('the body'),
      }).over()
      expect(told).toMatchObject({ status: 201, body: 'the body', trailers: [], ends: 1, failure: undefined })
      expect(told.connected).toMatchObject({ reused: false, queueUs: 0 })
      expect(told.connected!.connectUs).toBeGreaterThan(0)
      expect(seen).toMatchObject({ method: 'PATCH', url: '/a%2Fb?x=1&x=2' })
      const raw = seen!.rawHeaders
      expect(raw.includes('X-A')).toBe(keepsCase)
      for (const [name, value] of [
        ['x-a', '1'],
        ['cookie', 'a=b'],
        ['__proto__', 'p'],
        ['x-latin', 'caf\xe9'],
        ['content-length', '8'],
      ] as const)
        expect(valuesOf(raw, name)).toEqual([value])
      expect(valuesOf(raw, 'transfer-encoding')).toEqual([])
      expect(valuesOf(told.headers, 'set-cookie')).toEqual(['a=1', 'b=2'])
      expect(valuesOf(told.headers, 'x-latin')).toEqual(['caf\xe9'])
    })

    it('with a body that streams is as long as the body, and is stopped by who does not read', async () => {
      let arrived = 0
      let readOn: (() => void) | undefined
      const backend = await serve((request, response) => {
        request.once('readable', () => {
          readOn = () => {
            request.on('data', (chunk: Buffer) => {
              arrived += chunk.length
            })
            request.on('end', () => response.end('ok'))
          }
        })
      })
      let produced = 0
      const chunk = Buffer.alloc(64 * 1024)
      const body = new Readable({
        read() {
          produced += chunk.length
          this.push(produced > 32 * 1024 * 1024 ? null : chunk)
        },
      })
      const told = attempt(made(), backend.url, { method: 'POST', body })
      await until(() => readOn !== undefined)
      let before = -1
      await until(() => {
        const still = produced === before
        before = produced
        return still
      })
      expect(produced).toBeLessThan(32 * 1024 * 1024)
      readOn!()
      expect(await told.over()).toMatchObject({ status: 200, body: 'ok' })
      expect(arrived).toBe(32 * 1024 * 1024)
    })

    it('that cannot be sent fails before a byte of it was, and costs no connection', async () => {
      const backend = await serve(ok)
      const transport = made({ connections: { max: 1 } })
      const head = ['host', 'a']
      const bad = [
        { headers: [...head, 'bad name', '1'] },
        { headers: [...head, 'x-a', 'a\r\nb: c'] },
        { headers: [...head, 'x-a', 'a\0'] },
        { method: 'G T' },
        { path: '/a b' },
        { path: '/a\r\n' },
      ]
      for (const asked of bad) {
        const told = await attempt(transport, backend.url, asked).over()
        expect(told).toMatchObject({ failure: { result: 'internal', sent: false }, ends: 1, connected: undefined })
      }
      expect(await attempt(transport, backend.url).over()).toMatchObject({ status: 200 })
    })

    it('is answered while its body still comes', async () => {
      const backend = await serve((request, response) => {
        request.on('error', () => undefined)
        response.statusCode = 413
        response.end('too much')
      })
      const body = new Readable({ read: () => undefined })
      body.push('begun')
      const transport = made()
      const told = await attempt(transport, backend.url, { method: 'POST', body }).over()
      expect(told).toMatchObject({ status: 413, body: 'too much', ends: 1, failure: undefined })
      expect(await attempt(transport, backend.url, { method: 'GET' }).over()).toMatchObject({ status: 413 })
    })
  })

  describe(`${name}: a response`, () => {
    it('without a body ends at its head', async () => {
      const backend = await serve((request, response) => {
        response.statusCode = Number(request.url!.slice(1))
        if (response.statusCode !== 204) response.setHeader('Content-Length', 7)
        response.end()
      })
      const transport = made()
      for (const [method, status] of [
        ['GET', 204],
        ['HEAD', 204],
        ['GET', 304],
      ] as const) {
        const told = await attempt(transport, backend.url, { method, path: `/${status}` }).over()
        expect(told).toMatchObject({ status, body: '', ends: 1, failure: undefined })
      }
      expect(backend.accepted()).toBe(1)
      const told = await attempt(transport, backend.url, { method: 'HEAD', path: '/200' }).over()
      expect(told).toMatchObject({ status: 200, body: '', ends: 1, failure: undefined })
    })

    it('comes after hints, and before trailers', async () => {
      const backend = await serve((_request, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' })
        response.writeHead(200, { Trailer: 'X-Sum' })
        response.write('body')
        response.addTrailers({ 'X-Sum': 'abc' })
        response.end()
      })
      const told = await attempt(made(), backend.url).over()
      expect(told.information.map(([status, headers]) => [status, valuesOf(headers, 'link')])).toEqual([
        [103, ['</a.css>; rel=preload']],
      ])
      expect(told).toMatchObject({ status: 200, body: 'body' })
      expect(valuesOf(told.trailers!, 'x-sum')).toEqual(['abc'])
    })

    it('stops when it is not taken, and goes on when it is', async () => {
      let written = 0
      const most = 32 * 1024 * 1024
      const backend = await serve((_request, response) => {
        response.on('error', () => undefined)
        const more = (): void => {
          while (written < most) {
            written += 65_536
            if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', more)
          }
          response.end()
        }
        more()
      })
      let takes = false
      const clock = fakeClock()
      // Where it is real time, it is longer than a busy machine stalls: the rest of the body must not be idle for so long.
      const bodyIdleMs = ownTimers ? 3000 : 200
      const transport = made({ timeouts: { bodyIdleMs }, ...(ownTimers ? {} : { clock }) })
      const told = attempt(transport, backend.url, { takes: () => takes })
      await until(() => told.chunks.length > 0)
      // Longer than a body may be idle: it is us who do not read.
      await setTimeout(ownTimers ? bodyIdleMs + 300 : 300)
      clock.advance(bodyIdleMs + 300)
      expect(told).toMatchObject({ ends: 0, chunks: { length: 1 } })
      expect(written).toBeLessThan(most)
      takes = true
      told.resume()
      expect(await told.over()).toMatchObject({ failure: undefined })
      expect(told.chunks.reduce((sum, { length }) => sum + length, 0)).toBe(most)
    })

    it('that is cut off fails, once', async () => {
      const backend = await serve((_request, response) => {
        response.writeHead(200)
        response.write('half.')
      })
      const transport = made()
      const told = attempt(transport, backend.url)
      await until(() => told.body === 'half.')
      for (const socket of backend.sockets) socket.resetAndDestroy()
      expect(await told.over()).toMatchObject({ failure: { result: 'backend-cut', sent: true }, ends: 1 })
      await until(() => transport.isIdle)
    })

    it('that makes our side throw is invalid, and costs the attempt alone', async () => {
      const backend = await serve(ok)
      const transport = made({ connections: { max: 1 } })
      const boom = (): never => {
        throw new Error('boom')
      }
      expect(await attempt(transport, backend.url, { handler: { onResponse: boom } }).over()).toMatchObject({
        failure: { result: 'response-invalid', sent: true, detail: 'boom' },
        ends: 1,
      })
      if (guardsAll)
        for (const handler of [{ onConnected: boom }, { onData: boom }])
          expect(await attempt(transport, backend.url, { handler }).over()).toMatchObject({
            failure: { result: 'internal', sent: true, detail: 'boom' },
            ends: 1,
          })
      expect(await attempt(transport, backend.url).over()).toMatchObject({ status: 200 })
    })
  })

  describe(`${name}: a backend`, () => {
    it('that refuses the connection got nothing', async () => {
      const transport = made()
      expect(await attempt(transport, (await refusing()).url).over()).toMatchObject({
        failure: { result: 'connect-refused', sent: false, detail: 'ECONNREFUSED' },
        connected: undefined,
        ends: 1,
      })
      expect(transport.isIdle).toBe(true)
    })

    it('that resets the connection before its response may have got the request', async () => {
      const backend = await serve(() => {
        for (const socket of backend.sockets) socket.resetAndDestroy()
      })
      expect(await attempt(made(), backend.url).over()).toMatchObject({
        failure: { result: 'backend-reset', sent: true },
        status: undefined,
        ends: 1,
      })
    })

    it('that says nothing, or stops, is given up after its time', async () => {
      const backend = await serve((request, response) => {
        if (request.url === '/body') response.writeHead(200, { 'content-length': 10 }).write('half.')
      })
      const [head, body] = await Promise.all([
        attempt(made({ timeouts: { headerMs: 300 } }), backend.url, { path: '/head' }).over(),
        attempt(made({ timeouts: { bodyIdleMs: 300 } }), backend.url, { path: '/body' }).over(),
      ])
      expect(head).toMatchObject({ failure: { result: 'header-timeout', sent: true }, status: undefined, ends: 1 })
      expect(body).toMatchObject({ failure: { result: 'body-timeout', sent: true }, status: 200, body: 'half.' })
    })
  })

  describe(`${name}: connections`, () => {
    it('are used again, and closed when the backend leaves', async () => {
      const backend = await serve(ok)
      const transport = made({ connections: { keepAliveMs: 600_000 } })
      expect(transport.isIdle).toBe(true)
      expect((await attempt(transport, backend.url).over()).connected).toMatchObject({ reused: false })
      const told = attempt(transport, backend.url)
      expect((await told.over()).connected).toMatchObject({ reused: true, queueUs: 0, connectUs: 0 })
      expect(backend.accepted()).toBe(1)
      expect(transport.isIdle).toBe(false)
      transport.forget(backendOf(told))
      await until(() => backend.sockets.size === 0)
      await until(() => transport.isIdle)
    })

    it('are closed when they were idle for their time, and made anew then', async () => {
      const backend = await serve(ok)
      const transport = made({ connections: { keepAliveMs: 300 } })
      for (let i = 1; i <= 2; i++) {
        expect((await attempt(transport, backend.url).over()).connected).toMatchObject({ reused: false })
        expect(backend.accepted()).toBe(i)
        await until(() => backend.sockets.size === 0)
        await until(() => transport.isIdle)
      }
    })

    it('of a backend that left finish what they carry', async () => {
      let answer: (() => void) | undefined
      const backend = await serve((_request, response) => {
        answer = () => void response.end('ok')
      })
      const transport = made()
      const told = attempt(transport, backend.url)
      await until(() => answer !== undefined)
      transport.forget(backendOf(told))
      expect(transport.isIdle).toBe(false)
      answer!()
      expect(await told.over()).toMatchObject({ body: 'ok' })
      await until(() => backend.sockets.size === 0 && transport.isIdle)
    })

    it('that are all in use are waited for, by so many and so long', async () => {
      const answers: (() => void)[] = []
      const backend = await serve((_request, response) => answers.push(() => void response.end('ok')), 1)
      const clock = fakeClock()
      const transport = made({ clock, connections: { max: 1, queue: 1, queueTimeoutMs: 300 } })
      const first = attempt(transport, backend.url)
      await until(() => answers.length === 1)
      const second = attempt(transport, backend.url)
      const third = attempt(transport, backend.url)
      expect(third).toMatchObject({ failure: { result: 'queue-full', sent: false }, ends: 1 })
      clock.advance(299)
      expect(second.ends).toBe(0)
      clock.advance(1)
      expect(second).toMatchObject({ failure: { result: 'queue-timeout', sent: false }, ends: 1 })
      const fourth = attempt(transport, backend.url)
      clock.advance(200)
      answers[0]!()
      await first.over()
      await until(() => answers.length === 2)
      answers[1]!()
      expect((await fourth.over()).connected).toMatchObject({ reused: true, connectUs: 0 })
      expect(fourth.connected!.queueUs).toBe(200_000)
      expect(backend.accepted()).toBe(1)
    })

    it('are free again after attempts that are cancelled in every phase, of which nothing more is told', async () => {
      const seen: string[] = []
      const backend = await serve((request, response) => {
        const left = (): void => void (seen.includes(request.url!) || seen.push(request.url!))
        request.on('error', () => undefined)
        response.on('error', () => undefined)
        response.on('close', left)
        if (request.url === '/body') response.write('half.')
        if (request.url === '/ok') response.end('ok')
      }, 1)
      const transport = made({ connections: { max: 1 } })
      const dialling = attempt(transport, backend.url, { path: '/dial' })
      dialling.cancel()
      const body = new Readable({ read: () => undefined })
      body.push('begun')
      const sending = attempt(transport, backend.url, { path: '/send', method: 'POST', body })
      await until(() => sending.connected !== undefined)
      const waiting = attempt(transport, backend.url, { path: '/wait' })
      waiting.cancel()
      await until(() => backend.sockets.size === 1)
      sending.cancel()
      const head = attempt(transport, backend.url, { path: '/head' })
      await until(() => head.connected !== undefined)
      head.cancel()
      const reading = attempt(transport, backend.url, { path: '/body' })
      await until(() => reading.body === 'half.')
      reading.cancel()
      await until(() => seen.includes('/body'))
      expect(await attempt(transport, backend.url, { path: '/ok' }).over()).toMatchObject({ body: 'ok' })
      for (const told of [dialling, waiting, sending, head, reading]) {
        told.cancel()
        expect(told.ends).toBe(0)
      }
      expect(seen).not.toContain('/wait')
    })

    it('are closed with the transport, with what they carry', async () => {
      const backend = await serve((request, response) => void (request.url === '/body' && response.write('half.')))
      const transport = made({ connections: { max: 2 } })
      const [body, head, queued] = ['/body', '/head', '/queued'].map((path) =>
        attempt(transport, backend.url, { path }),
      ) as [Told, Told, Told]
      await until(() => body.body === 'half.' && head.connected !== undefined)
      await transport.close()
      for (const told of [body, head, queued])
        expect(await told.over()).toMatchObject({ failure: { result: 'internal' }, ends: 1 })
      await until(() => backend.sockets.size === 0)
      expect(transport.isIdle).toBe(true)
    })
  })
}

const backendOf = ({ backend }: Told) => backend
