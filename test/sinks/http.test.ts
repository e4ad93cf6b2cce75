// httpSink against real collectors.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { seededRandom } from '../../src/random.ts'
import { type HttpSinkOptions, httpSink } from '../../src/sinks/http.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

interface Post {
  readonly headers: IncomingMessage['headers']
  readonly lines: string[]
  readonly url: string
}

function collector(
  answer: (response: ServerResponse, nth: number) => void = (response) => response.writeHead(204).end(),
) {
  const posts: Post[] = []
  const server: Server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('error', () => undefined)
    request.on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      posts.push({
        headers: request.headers,
        lines: body.split('\n').slice(0, -1),
        url: `${request.method} ${request.url}`,
      })
      expect(body.endsWith('\n')).toBe(true)
      answer(response, posts.length)
    })
  })
  closeAfterTest(server)
  return { posts, server }
}

function shipping(port: number, options: Partial<HttpSinkOptions> = {}) {
  const logger = keepLogger()
  const sink = httpSink({ url: `http://127.0.0.1:${port}/ingest`, intervalMs: 5, ...options })
  // Draws of 0 make every pause as short as it may be.
  const audit = createAudit({ sinks: [sink], logger, random: { uint32: () => 0 }, service: 'shop' })
  return {
    audit,
    logger,
    record: (n: number) => {
      for (let i = 0; i < n; i++) audit.record('app.x', { i })
    },
  }
}
const apps = (posts: readonly Post[]) =>
  posts
    .flatMap(({ lines }) => lines.map((line) => JSON.parse(line)))
    .filter(({ event_name }) => event_name === 'app.x')
    .map(({ app }) => app.i)

it('posts lines as ndjson, with a key that names the range', async () => {
  const { posts, server } = collector()
  const { audit, record } = shipping(await listen(server), { headers: { authorization: 'Bearer t' } })
  record(5)
  expect((await audit.close()).undelivered).toEqual({})
  expect(apps(posts)).toEqual([0, 1, 2, 3, 4])
  for (const { headers, lines, url } of posts) {
    const { origin, index } = JSON.parse(lines[0]!).audit
    expect(url).toBe('POST /ingest')
    expect(headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      authorization: 'Bearer t',
      'idempotency-key': `${origin}/${index}-${index + lines.length - 1}`,
    })
  }
})

it('makes headers anew for each post, by a function that may be async', async () => {
  const { posts, server } = collector((response, nth) => response.writeHead(nth === 1 ? 503 : 200).end())
  let made = 0
  const { audit, record } = shipping(await listen(server), { headers: async () => ({ 'x-token': String(++made) }) })
  record(1)
  await until(() => posts.length >= 2)
  await audit.close()
  expect(posts.map(({ headers }) => headers['x-token'])).toEqual(posts.map((_, i) => String(i + 1)))
})

it.each([500, 502, 503, 429, 408, 425])('%i is tried again, the same batch under the same key', async (status) => {
  const { posts, server } = collector((response, nth) => response.writeHead(nth < 3 ? status : 200).end('answer'))
  const { audit, record } = shipping(await listen(server))
  record(3)
  await until(() => posts.length >= 3)
  expect((await audit.close()).undelivered).toEqual({})
  expect(posts[1]).toEqual(posts[0])
  expect(posts[2]!.headers['idempotency-key']).toBe(posts[0]!.headers['idempotency-key'])
  expect(apps(posts.slice(2))).toEqual([0, 1, 2])
})

it('Retry-After is kept to', async () => {
  const times: number[] = []
  const { posts, server } = collector((response, nth) => {
    times.push(performance.now())
    response.writeHead(nth === 1 ? 429 : 200, { 'retry-after': '1' }).end()
  })
  const { record } = shipping(await listen(server))
  record(1)
  await until(() => posts.length >= 2)
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(990)
})

it.each([400, 401, 404, 413, 301, 307])(
  '%i refuses the batch for good: an exact gap, and the next goes on',
  async (status) => {
    const { posts, server } = collector((response, nth) =>
      response.writeHead(nth === 1 ? status : 200, status < 400 ? { location: '/elsewhere' } : {}).end(),
    )
    const { audit, logger, record } = shipping(await listen(server))
    record(2)
    await until(() => posts.length >= 1)
    await until(() => logger.told.length > 0)
    record(1)
    await until(() => posts.some(({ lines }) => lines.some((line) => line.includes('audit.gap'))))
    await audit.close()
    expect(posts.every(({ url }) => url === 'POST /ingest')).toBe(true)
    const refused = posts[0]!.lines.map((line) => JSON.parse(line).audit)
    const gap = posts
      .slice(1)
      .flatMap(({ lines }) => lines.map((line) => JSON.parse(line)))
      .find(({ event_name }) => event_name === 'audit.gap')
    expect(gap.log).toMatchObject({
      sink: 'http',
      origin: refused[0].origin,
      first: refused[0].index,
      last: refused.at(-1).index,
      count: refused.length,
      reason: 'rejected',
    })
    expect(logger.told[0]!.message).toContain('refused lines for good')
  },
)

it('a collector that goes down and comes back: nothing lost, and nothing twice by origin and index', async () => {
  const chance = seededRandom(4)
  const answer = (response: ServerResponse): void => {
    // Some are accepted, but the answer is lost on the way.
    if (chance.uint32() % 3 === 0) response.destroy()
    else response.writeHead(200).end()
  }
  const first = collector(answer)
  const port = await listen(first.server)
  const { audit, record } = shipping(port, { batchLines: 7 })
  record(40)
  await until(() => first.posts.length >= 3)
  await new Promise<void>((resolve) => {
    first.server.close(() => resolve())
    first.server.closeAllConnections()
  })
  record(40)
  const second = collector(answer)
  await listen(second.server, port)
  record(40)
  await until(() => new Set(apps(second.posts)).size >= 40)
  expect((await audit.close()).undelivered).toEqual({})
  const all = [...first.posts, ...second.posts].flatMap(({ lines }) => lines.map((line) => JSON.parse(line)))
  const distinct = new Map(all.map((event) => [`${event.audit.origin}/${event.audit.index}`, event]))
  expect(all.length).toBeGreaterThan(distinct.size)
  expect([...distinct.values()].filter(({ event_name }) => event_name === 'app.x')).toHaveLength(120)
  expect(all.filter(({ event_name }) => event_name === 'audit.gap')).toEqual([])
})

it('says which options are wrong', () => {
  expect(() => httpSink({ url: 'ftp://x', headers: 5, batchLines: 0, spice: 1 } as never)).toThrow(
    /url: expected an http.*\n.*headers: expected an object of texts, or a function that returns one, got 5\n.*batchLines: expected at least 1, got 0\n.*spice: unknown option/,
  )
})
