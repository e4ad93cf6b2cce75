// What the adapter for Express sends on of a body that a parser has read before.
import { gzipSync } from 'node:zlib'
import type { ErrorRequestHandler, RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { answering, echoing } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { expressVersions, serveApp } from '../support/express.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'

describe.each(expressVersions)('expressBalancer after a parser of $name', ({ name, express }) => {
  // The parsers of Express 4 leave `{}` where they fail.
  const leavesBraces = name === 'Express 4'

  const through = async (parser: RequestHandler, type: string, body: string | Buffer, headers: string[] = []) => {
    const backend = await answering()
    const record = recorded({ backends: [backend] })
    const app = express()
    app.use(parser)
    app.use(expressBalancer(record.balancer))
    const reply = await send(await serveApp(app), {
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
    [
      'application/x-www-form-urlencoded; charset=iso-8859-1',
      express.urlencoded({ extended: true }),
      Buffer.from('a=%E9'),
    ],
  ] as const) {
    const passes = async (): Promise<void> => {
      const kept = await through(express.raw({ type: '*/*' }), type, body)
      expect(kept.seen!.body).toBe(body.toString('latin1'))
    }
    if (leavesBraces && type.includes('form')) {
      it(`in another charset is refused by the parser of Express 4 itself, with 415: ${type}`, async () => {
        const backend = await answering()
        const { balancer, completions } = recorded({ backends: [backend] })
        const app = express()
        app.use(parser)
        app.use(expressBalancer(balancer))
        const reply = await send(await serveApp(app), { method: 'POST', body, headers: ['Content-Type', type] })
        expect([reply.status, backend.seen, completions()]).toEqual([415, [], []])
        await passes()
      })
      continue
    }
    it(`in another charset is answered with 500: ${type}`, async () => {
      const { reply, event, seen } = await through(parser, type, body)
      expect([reply.status, event.lb.result, seen]).toEqual([500, 'body-consumed', undefined])
      await passes()
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
    })
  }

  it('that kept nothing is answered with 500, and told', async () => {
    const swallow: RequestHandler = (request, _response, next) => void request.on('end', () => next()).resume()
    const { reply, event, seen } = await through(swallow, 'multipart/form-data; boundary=x', '--x--')
    expect(reply.status).toBe(500)
    expect(event).toMatchObject({ lb: { result: 'body-consumed', ended_by: 'balancer' } })
    expect(seen).toBeUndefined()
  })

  it('of an empty object sends that, unless it may be what a parser left that had failed', async () => {
    expect((await through(express.json(), 'application/json', '{}')).seen!.body).toBe('{}')
    const chunked = await through(express.json(), 'application/json', '{}', ['Transfer-Encoding', 'chunked'])
    const result = leavesBraces ? ['body-consumed', undefined] : ['ok', '{}']
    expect([chunked.event.lb.result, chunked.seen?.body]).toEqual(result)
  })

  for (const [what, parser, type, body, headers] of [
    ['JSON that is none', express.json(), 'application/json', '{"a":', []],
    ['JSON beyond the limit', express.json({ limit: 10 }), 'application/json', `{"a":"${'x'.repeat(100_000)}"}`, []],
    ['what is not compressed as it says', express.json(), 'application/json', '{"a":1}', ['Content-Encoding', 'gzip']],
    [
      'a form of too many fields',
      express.urlencoded({ extended: false, parameterLimit: 1 }),
      'application/x-www-form-urlencoded',
      'a=1&b=2',
      [],
    ],
  ] as const) {
    it(`that failed, in an app that goes on all the same, is answered with 500: ${what}`, async () => {
      const goingOn: ErrorRequestHandler = (_error, _request, _response, next) => next()
      const app = express().use(parser).use(goingOn) as unknown as RequestHandler
      const { reply, event, seen } = await through(app, type, body, [...headers])
      expect([reply.status, event.lb.result, seen]).toEqual([500, 'body-consumed', undefined])
    })
  }

  it('of a part of the body sends none of it', async () => {
    const backend = await answering()
    const record = recorded({ backends: [backend] })
    const app = express()
    app.use((request, _response, next) => {
      request.once('data', (chunk: Buffer) => {
        request.pause()
        request.body = chunk
        next()
      })
    })
    app.use(expressBalancer(record.balancer))
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n'
    const client = await rawClient(await serveApp(app), `${head}first`)
    await client.has('HTTP/1.1 500 ')
    client.write('last.')
    expect((await record.one()).lb.result).toBe('body-consumed')
    expect(backend.seen).toEqual([])
  })

  it('that does not know the type streams the body', async () => {
    const backend = await echoing()
    const record = recorded({ backends: [backend] })
    const app = express()
    app.use(express.json(), express.urlencoded({ extended: true }), express.text(), express.raw())
    app.use(expressBalancer(record.balancer))
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: image/png\r\n'
    const client = await rawClient(await serveApp(app), `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n`)
    await client.has('first')
    client.write('4\r\nlast\r\n0\r\n\r\n')
    await client.ended
    expect(await record.one()).toMatchObject({ http: { request: { body: { size: 9 } } }, lb: { result: 'ok' } })
  })

  it('sends no body where there is none, whatever the parser makes of it', async () => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = express()
    app.use(express.json(), express.urlencoded({ extended: true }), expressBalancer(balancer))
    const port = await serveApp(app)
    for (const headers of [
      [],
      ['Content-Type', 'application/json'],
      ['Content-Length', '0', 'Content-Type', 'application/json'],
    ])
      expect(await send(port, { method: headers.length > 2 ? 'POST' : 'GET', headers })).toMatchObject({ status: 200 })
    expect(backend.seen.map(({ body }) => body)).toEqual(['', '', ''])
    expect(backend.seen.flatMap(({ rawHeaders }) => valuesOf(rawHeaders, 'transfer-encoding'))).toEqual([])
    await completed(3)
  })

  it('answers an expectation of 100-continue once, and sends what was read', async () => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend] })
    const app = express()
    app.use(express.json(), expressBalancer(balancer))
    const head = 'PUT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n'
    const client = await rawClient(await serveApp(app), `${head}Expect: 100-continue\r\nContent-Length: 8\r\n\r\n`)
    await client.has('HTTP/1.1 100 Continue\r\n\r\n')
    client.write('{"a": 1}')
    await client.ended
    expect(client.text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
    expect(backend.seen).toMatchObject([{ method: 'PUT', body: '{"a":1}' }])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'expect')).toEqual([])
    await one()
  })
})
