// httpSink against real collectors.
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Format, type HttpSinkOptions, httpSink } from '../../src/index.ts'
import { listen } from '../support/closing.ts'
import { type Answering, collector, fed } from '../support/collector.ts'
import { batchOf, sample } from '../support/sample-events.ts'
import { type Authority, authority } from '../support/tls.ts'
import { until } from '../support/until.ts'

const batch = batchOf(
  Array.from({ length: 5 }, () => sample('request.completed')),
  10,
)

async function shipping(answer?: Answering, options: Partial<HttpSinkOptions> = {}) {
  const { server, posts, connections } = collector(answer)
  const port = await listen(server)
  const sink = httpSink({ url: `http://127.0.0.1:${port}/ingest?a=1`, ...options })
  return { sink, posts, port, server, connections, ...(await fed(sink)) }
}

it('posts lines as ndjson, with a key that names the range, over one connection', async () => {
  const { connections, posts, write } = await shipping(undefined, { headers: { authorization: 'Bearer t' } })
  for (let i = 0; i < 3; i++) expect(await write(batch)).toBeUndefined()
  expect(connections()).toBe(1)
  expect(posts[0]).toMatchObject({
    body: batch.lines.map((line) => `${line}\n`).join(''),
    headers: {
      'content-type': 'application/x-ndjson',
      authorization: 'Bearer t',
      'idempotency-key': `${batch.origin}/10-14`,
    },
    url: 'POST /ingest?a=1',
  })
})

it('headers of yours go before ours, whatever their case', async () => {
  const { posts, write } = await shipping(undefined, { headers: { 'Content-Type': 'text/plain' } })
  await write(batch)
  expect(posts[0]!.headers['content-type']).toBe('text/plain')
})

it('makes headers anew for each post, by a function that may be async', async () => {
  let made = 0
  const { posts, write } = await shipping(undefined, { headers: async () => ({ 'x-token': String(++made) }) })
  await write(batch)
  await write(batch)
  expect(posts.map(({ headers }) => headers['x-token'])).toEqual(['1', '2'])
})

it('compresses with gzip where that is asked for', async () => {
  const { posts, write } = await shipping(undefined, { compress: 'gzip' })
  await write(batch)
  expect(posts[0]!.headers['content-encoding']).toBe('gzip')
  expect(Number(posts[0]!.headers['content-length'])).toBeLessThan(batch.bytes / 2)
  expect(posts[0]!.body).toBe(batch.lines.map((line) => `${line}\n`).join(''))
})

describe('an answer', () => {
  const answered = async (status: number, headers: Record<string, string> = {}) => {
    const { clock, posts, write } = await shipping((response) => response.writeHead(status, headers).end('the answer'))
    const fault = await write(batch)
    return { clock, fault, posts }
  }

  it.each([200, 201, 202, 204, 299])('of %i accepts the lines', async (status) => {
    expect((await answered(status)).fault).toBeUndefined()
  })

  it.each([400, 413, 422])('of %i blames the lines', async (status) => {
    expect((await answered(status)).fault).toMatchObject({
      permanent: true,
      message: `the collector answered ${status}`,
    })
  })

  it.each([301, 302, 307, 308, 401, 403, 404, 405, 407, 408, 409, 411, 415, 425, 429, 500, 502, 503, 504])(
    'of %i gives nothing up, and nobody else is asked',
    async (status) => {
      const { fault, posts } = await answered(status, status < 400 ? { location: '/elsewhere' } : {})
      expect([fault.permanent, fault.rejected]).toEqual([undefined, undefined])
      expect(fault.message).toMatch(new RegExp(`^the collector answered ${status}(: |$)`))
      expect(posts).toHaveLength(1)
    },
  )

  it.each([
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': '999999' }, 300_000],
    [{ 'retry-after': '0' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '-1' }, undefined],
    [{ 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT', date: 'Sun, 06 Nov 1994 08:49:27 GMT' }, 10_000],
    [{ 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT', date: 'Sun, 06 Nov 1994 09:49:27 GMT' }, undefined],
    // Without a date of the answer's own, by our clock.
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:05 GMT', date: 'unknown' }, 5000],
  ])('with %j asks for a pause of %s ms', async (headers, ms) => {
    expect((await answered(503, headers)).fault.retryAfterMs).toBe(ms)
  })
})

it('a collector that is not there, goes away, or answers no HTTP: nothing is given up', async () => {
  const { server, write } = await shipping((response, nth) => {
    if (nth === 1) response.destroy()
    else response.socket!.end('what?\r\n\r\n')
  })
  for (let i = 0; i < 2; i++) expect((await write(batch)).permanent).toBeUndefined()
  server.close()
  server.closeAllConnections()
  await until(() => !server.listening)
  const fault = await write(batch)
  expect([fault.permanent, fault.code]).toEqual([undefined, 'ECONNREFUSED'])
})

it.each<[string, (response: ServerResponse) => void]>([
  ['before it answers', () => undefined],
  ['within its answer', (response) => void response.writeHead(500).write('a part of')],
])('a collector that hangs %s is left when the signal says so, and the next write goes on', async (_, hang) => {
  const { posts, write } = await shipping((response, nth) =>
    nth === 1 ? hang(response) : response.writeHead(200).end(),
  )
  const controller = new AbortController()
  const writing = write(batch, controller.signal)
  await until(() => posts.length === 1)
  controller.abort(new Error('too late'))
  expect(await writing).toBeInstanceOf(Error)
  expect(await write(batch)).toBeUndefined()
})

it('no fault tells a secret', async () => {
  const secret = 'hunter2'
  const { write } = await shipping(undefined, {
    headers: () => {
      throw new TypeError(`cannot reach https://id/?token=${secret}`)
    },
  })
  const fault = await write(batch)
  expect(fault.message).toBe('the function for headers failed: TypeError')
  const broken = await shipping(undefined, { headers: { authorization: `${secret}\n` } })
  expect((await broken.write(batch)).message).not.toContain(secret)
  for (const url of [`http://u:${secret}@h/`, `ftp://u:${secret}@h/`, `http://u:${secret}@[`])
    expect(() => httpSink({ url })).toThrow(expect.not.objectContaining({ message: expect.stringContaining(secret) }))
  expect(() => httpSink({ url: `http://u:${secret}@h/` })).toThrow(/url: expected no name and no password/)
})

it.each([
  ['throws an error', () => Promise.reject(new RangeError('hunter2')), 'failed: RangeError'],
  ['throws a code', () => Promise.reject({ code: 'ENOENT' }), 'failed: ENOENT'],
  [
    'throws a code that is none',
    () => Promise.reject({ code: { hunter2: true }, name: 'hunter 2' }),
    'failed: it threw',
  ],
  ['returns nothing', () => undefined, 'returned undefined, expected an object'],
  ['returns null', async () => null, 'returned null, expected an object'],
  ['returns text', () => 'hunter2', 'returned string, expected an object'],
])('a function for headers that %s is named, and the lines come again', async (_, headers, message) => {
  const { posts, write } = await shipping(undefined, { headers: headers as never })
  const fault = await write(batch)
  expect([fault.message, fault.permanent]).toEqual([`the function for headers ${message}`, undefined])
  expect(posts).toEqual([])
})

describe('a format of your own', () => {
  it('makes the body, headers, and judges the answer', async () => {
    const format: Format = ({ lines, first }) => ({
      contentType: 'text/plain',
      headers: { 'x-count': String(lines.length) },
      body: `${lines.length} lines`,
      accepted: ({ status, body }) => {
        if (body === 'not the second') throw Object.assign(new Error('no'), { rejected: [first + 1] })
        return body === '' ? undefined : `${status} ${body}`
      },
    })
    const answers = ['', 'take care', 'take care', 'not the second']
    const { logger, posts, write } = await shipping((response, nth) => response.writeHead(200).end(answers[nth - 1]), {
      format,
    })
    for (let i = 0; i < 3; i++) expect(await write(batch)).toBeUndefined()
    expect(await write(batch)).toMatchObject({ rejected: [11] })
    expect(posts[0]).toMatchObject({ body: '5 lines', headers: { 'content-type': 'text/plain', 'x-count': '5' } })
    expect(logger.told.map(({ fields }) => fields.note)).toEqual(['200 take care'])
  })

  it('that fails on a line fails on it each time, so the lines are to blame', async () => {
    const { posts, write } = await shipping(undefined, {
      map: () => {
        throw new Error('what is this?')
      },
    })
    expect(await write(batch)).toMatchObject({ permanent: true, message: 'the format failed: what is this?' })
    expect(posts).toEqual([])
  })
})

describe('over TLS', () => {
  let known: Authority
  beforeAll(() => {
    known = authority()
  })
  afterAll(() => known.remove())
  const secured = async (options: Partial<HttpSinkOptions>, names = 'DNS:localhost', host = 'localhost') => {
    const { server, posts } = collector(undefined, {
      ...known.issue(names),
      ca: known.cert,
      requestCert: true,
      rejectUnauthorized: false,
    })
    const sink = httpSink({ url: `https://${host}:${await listen(server)}/`, ...options })
    return { server, posts, ...(await fed(sink)) }
  }

  it('the certificate is verified', async () => {
    const { posts, write } = await secured({})
    expect(await write(batch)).toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' })
    expect(posts).toEqual([])
    const trusting = await secured({ tls: { ca: known.cert } })
    expect(await trusting.write(batch)).toBeUndefined()
    const wrong = await secured({ tls: { ca: known.cert } }, 'DNS:elsewhere')
    expect(await wrong.write(batch)).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  it('the name can be another than that of the URL', async () => {
    const { write } = await secured(
      { tls: { ca: known.cert }, serverName: 'logs.example' },
      'DNS:logs.example',
      '127.0.0.1',
    )
    expect(await write(batch)).toBeUndefined()
  })

  it('shows a certificate of its own', async () => {
    const { server, write } = await secured({ tls: { ca: known.cert, ...known.issue('DNS:sender') } })
    const authorized = new Promise((resolve) => server.on('secureConnection', (socket) => resolve(socket.authorized)))
    expect(await write(batch)).toBeUndefined()
    expect(await authorized).toBe(true)
  })
})

it('an answer that never ends is taken by its status, and its connection is left', async () => {
  const { posts, clock, connections, write } = await shipping((response, nth) => {
    response.writeHead(200).write('a part of')
    if (nth > 1) response.end()
  })
  expect(await write(batch)).toBeUndefined()
  let next: unknown = 'waits'
  const writing = write(batch).then((fault) => {
    next = fault
  })
  // It has the only connection until it is cut off.
  await until(() => {
    clock.advance(100)
    return next !== 'waits'
  })
  await writing
  expect(next).toBeUndefined()
  expect([posts.length, connections()]).toEqual([2, 2])
})

it('is fed as its options say', () => {
  const filter = { logs: ['control' as const], events: ['config.*'], severity: 9 }
  const url = 'http://127.0.0.1/'
  const base = { lines: 500, bytes: 1 << 20, intervalMs: 1000, timeoutMs: 10_000, from: 'now' }
  expect(
    httpSink({ url, filter, from: 'oldest', batchLines: 7, batchBytes: 2048, intervalMs: 5, timeoutMs: 9 }),
  ).toMatchObject({
    name: 'http',
    filter,
    feed: { lines: 7, bytes: 2048, intervalMs: 5, timeoutMs: 9, from: 'oldest' },
  })
  expect(httpSink({ url }).feed).toEqual(base)
  expect(httpSink({ url, format: 'splunk-hec', name: 'splunk' })).toMatchObject({
    name: 'splunk',
    feed: { ...base, bytes: 524_288 },
  })
})

it('says which options are wrong', () => {
  const wrong = {
    url: 'ftp://x',
    headers: 5,
    batchLines: 0,
    format: 'xml',
    map: 'cef',
    filter: { logs: [] },
    queueBytes: 1,
    compress: 'br',
  }
  expect(() => httpSink(wrong as never)).toThrow(
    new RegExp(
      [
        'url: expected an http:// or https:// URL, got a text of 7 characters',
        'format: expected ndjson or json .*, or a function, got a text of 3 characters',
        'map: expected line or ecs or ocsf or otel, or a function, got a text of 3 characters',
        'headers: expected an object of texts, or a function that returns one, got 5',
        'compress: expected "none" or "gzip", got "br"',
        'filter.logs: expected at least 1 entries, got a list',
        'batchLines: expected at least 1, got 0',
        'queueBytes: unknown option',
      ].join('\n.*'),
    ),
  )
  expect(() => httpSink({ url: 'http://x', format: 'otlp', map: 'ecs', serverName: 'y' })).toThrow(
    /serverName: expected only with an https.*\n.*map: expected nothing but otel with otlp/,
  )
  expect(() => httpSink({ url: 'http://x', format: () => ({ contentType: '', body: '' }), map: 'ecs' })).toThrow(
    /map: expected only with a format by name/,
  )
})
