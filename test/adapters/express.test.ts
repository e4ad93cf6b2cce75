// The adapter for Express keeps what every adapter promises, and sends bodies on that were parsed before.
import { createServer } from 'node:http'
import { gzipSync } from 'node:zlib'
import express, { type Express, type RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { send, valuesOf } from '../support/raw-client.ts'
import { conforms } from './conformance.ts'

async function serve(app: Express): Promise<number> {
  const server = createServer(app)
  closeAfterTest(server)
  return listen(server)
}

conforms({
  name: 'expressBalancer',
  prefix: '/api',
  start(balancer, options) {
    const app = express()
    app.use((_request, response, next) => void next(response.set((options.preset ?? {}) as never) && undefined))
    app.use('/api', expressBalancer(balancer) as unknown as RequestHandler)
    return serve(app)
  },
})

describe('expressBalancer after a parser', () => {
  const through = async (parser: RequestHandler, type: string, body: string | Buffer, headers: string[] = []) => {
    const backend = await answering()
    const record = recorded({ backends: [backend] })
    const app = express()
    app.use(parser)
    app.use(expressBalancer(record.balancer) as unknown as RequestHandler)
    const reply = await send(await serve(app), {
      method: 'POST',
      path: '/x',
      body,
      headers: ['Content-Type', type, ...headers],
    })
    return { reply, event: await record.one(), seen: backend.seen[0] }
  }

  it('of JSON sends the same value', async () => {
    const text = '{ "a": [1, "é\\r\\n", null], "b": {"c": true} }'
    const { seen, event } = await through(express.json(), 'application/json; charset=utf-8', text)
    expect(JSON.parse(Buffer.from(seen!.body, 'latin1').toString())).toEqual(JSON.parse(text))
    expect(valuesOf(seen!.rawHeaders, 'content-length')).toEqual([String(seen!.body.length)])
    expect(event).toMatchObject({ lb: { result: 'ok' }, http: { request: { body: { size: seen!.body.length } } } })
  })

  it('of JSON nested deeper than can be written anew is answered and recorded', async () => {
    const { reply, event, seen } = await through(
      express.json(),
      'application/json',
      `${'['.repeat(40_000)}${']'.repeat(40_000)}`,
    )
    expect([reply.status, event.lb.result, seen]).toEqual([500, 'body-consumed', undefined])
  })

  it('of JSON that is no object sends the same value', async () => {
    for (const text of ['"text"', '0', 'false', 'null', '[]']) {
      const { seen } = await through(express.json({ strict: false }), 'application/vnd.x+json', text, [])
      // A parser that looks at application/json only leaves this one alone.
      expect(seen!.body).toBe(text)
      const parsed = await through(express.json({ strict: false, type: '*/*' }), 'application/json', text)
      expect(parsed.seen!.body).toBe(text)
    }
  })

  it('of chunked JSON sends it with a length', async () => {
    const { seen } = await through(express.json(), 'application/json', '{"a":1}', ['Transfer-Encoding', 'chunked'])
    expect(seen!.body).toBe('{"a":1}')
    expect(valuesOf(seen!.rawHeaders, 'content-length')).toEqual(['7'])
    expect(valuesOf(seen!.rawHeaders, 'transfer-encoding')).toEqual([])
  })

  for (const extended of [true, false]) {
    it(`of forms sends the same fields (extended: ${extended})`, async () => {
      const form = 'a=1&b=x+%26%0D%0Ay&multi=1&multi=2&%C3%A9=%C3%BC&empty='
      const { seen } = await through(express.urlencoded({ extended }), 'application/x-www-form-urlencoded', form)
      expect([...new URLSearchParams(seen!.body)]).toEqual([...new URLSearchParams(form)])
    })
  }

  it('of nested forms sends what the same parser reads as the same', async () => {
    const form = 'a[b][c]=1&a[b][d][]=2&a[b][d][]=3&list[0][x]=1&list[1][x]=2'
    const { seen } = await through(express.urlencoded({ extended: true }), 'application/x-www-form-urlencoded', form)
    const fields = [...new URLSearchParams(seen!.body)].map(([name, value]) => `${name}=${value}`)
    expect(fields).toEqual(['a[b][c]=1', 'a[b][d]=2', 'a[b][d]=3', 'list[0][x]=1', 'list[1][x]=2'])
  })

  it('that keeps rawBody sends every byte as it came', async () => {
    const keep = express.json({
      verify: (request, _response, buffer) => {
        ;(request as unknown as { rawBody: Buffer }).rawBody = buffer
      },
    })
    const { seen } = await through(keep, 'application/json', '{ "spaced" :  1 }')
    expect(seen!.body).toBe('{ "spaced" :  1 }')
  })

  it('of text or bytes sends them as they came', async () => {
    expect((await through(express.text(), 'text/plain', 'line\r\n')).seen!.body).toBe('line\r\n')
    expect((await through(express.raw({ type: '*/*' }), 'image/x', Buffer.from([0, 255, 1]))).seen!.body).toBe(
      '\x00\xff\x01',
    )
  })

  it('of text under a JSON type sends it as it came', async () => {
    for (const text of ['{ "a":  "é" }', '"text"', '[]', 'no JSON']) {
      const { seen } = await through(express.text({ type: '*/*' }), 'application/json', text)
      expect(Buffer.from(seen!.body, 'latin1').toString()).toBe(text)
    }
  })

  it('of a JSON text of unknown length is answered with 500: it may be a value as well as what came', async () => {
    for (const parser of [express.text({ type: '*/*' }), express.json({ strict: false })]) {
      const chunked = ['Transfer-Encoding', 'chunked']
      const { reply, event, seen } = await through(parser, 'application/json', '"text"', chunked)
      expect([reply.status, event.lb.result, seen]).toEqual([500, 'body-consumed', undefined])
    }
    const { reply } = await through(express.json({ strict: false }), 'application/json', gzipSync('"text"'), [
      'Content-Encoding',
      'gzip',
    ])
    expect(reply.status).toBe(500)
  })

  it('of compressed JSON sends it plain', async () => {
    const { seen } = await through(express.json(), 'application/json', gzipSync('{"a":1}'), [
      'Content-Encoding',
      'gzip',
    ])
    expect(seen!.body).toBe('{"a":1}')
    expect(valuesOf(seen!.rawHeaders, 'content-encoding')).toEqual([])
  })

  for (const [type, parser, body] of [
    ['text/plain; charset=iso-8859-1', express.text(), Buffer.from('é', 'latin1')],
    ['text/plain; Charset="latin1"', express.text(), Buffer.from('é', 'latin1')],
    ['application/json; charset=utf-16le', express.json(), Buffer.from('{"a":"é"}', 'utf16le')],
    ['application/x-www-form-urlencoded; charset=iso-8859-1', express.urlencoded(), Buffer.from('a=%E9')],
  ] as const) {
    it(`in another charset is answered with 500: ${type}`, async () => {
      const { reply, event, seen } = await through(parser, type, body)
      expect([reply.status, event.lb.result, seen]).toEqual([500, 'body-consumed', undefined])
      const kept = await through(express.raw({ type: '*/*' }), type, body)
      expect(kept.seen!.body).toBe(body.toString('latin1'))
    })
  }

  it('in UTF-8 by any of its names, or in ASCII, sends it', async () => {
    for (const charset of ['utf-8', 'UTF8', '"utf-8"', 'us-ascii'])
      expect((await through(express.text(), `text/plain; charset=${charset}`, 'x')).seen!.body).toBe('x')
  })

  for (const parser of [express.json(), express.json({ strict: false }), express.text({ type: '*/*' })]) {
    it('of a chunked body that is empty sends an empty one', async () => {
      const { reply, seen, event } = await through(parser, 'application/json', '', ['Transfer-Encoding', 'chunked'])
      expect([reply.status, seen!.body]).toEqual([200, ''])
      expect(event).toMatchObject({ http: { request: { body: { size: 0 } } } })
      const braces = await through(express.json(), 'application/json', '{}', ['Transfer-Encoding', 'chunked'])
      expect(braces.seen!.body).toBe('{}')
    })
  }

  it('that kept nothing is answered with 500, and told', async () => {
    const swallow: RequestHandler = (request, _response, next) => void request.on('end', () => next()).resume()
    const { reply, event, seen } = await through(swallow, 'multipart/form-data; boundary=x', '--x--')
    expect(reply.status).toBe(500)
    expect(event).toMatchObject({ lb: { result: 'body-consumed', ended_by: 'balancer' } })
    expect(seen).toBeUndefined()
  })
})
