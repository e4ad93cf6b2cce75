// The adapter for Express keeps what every adapter promises, and sends bodies on that were parsed before.
import { createServer } from 'node:http'
import express, { type Express, type RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { send, valuesOf } from '../support/raw-client.ts'
import { conforms, preset } from './conformance.ts'

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
    if (options.preset) app.use((_request, response, next) => void next(response.set(preset as never) && undefined))
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

  it('that kept nothing is answered with 500, and told', async () => {
    const swallow: RequestHandler = (request, _response, next) => void request.on('end', () => next()).resume()
    const { reply, event, seen } = await through(swallow, 'multipart/form-data; boundary=x', '--x--')
    expect(reply.status).toBe(500)
    expect(event).toMatchObject({ lb: { result: 'body-consumed', ended_by: 'balancer' } })
    expect(seen).toBeUndefined()
  })
})
