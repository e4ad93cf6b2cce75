// Sinks fed by a real trail, and collectors that fail in their own ways: delivered and gaps are all that was emitted.
import { createServer as createTcpServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { fileSink, httpSink, syslogSink } from '../../src/index.ts'
import { queryLog } from '../../src/log/query.ts'
import { seededRandom } from '../../src/random.ts'
import type { AnySink } from '../../src/sink.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { collector, type Post } from '../support/collector.ts'
import { tempFolder } from '../support/folder.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

// biome-ignore lint/suspicious/noExplicitAny: events of every kind.
type Event = any

function trail(...sinks: AnySink[]) {
  const logger = keepLogger()
  // Draws of 0 make every pause as short as it may be.
  const audit = createAudit({ sinks, logger, random: { uint32: () => 0 }, service: 'shop' })
  let i = 0
  const record = (n: number, more: object = {}): void => {
    for (const end = i + n; i < end; i++) audit.record('app.x', { i, ...more })
  }
  return { audit, logger, record }
}

const linesIn = (posts: readonly Post[]): Event[] =>
  posts.flatMap(({ body }) =>
    body
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
  )
const placeOf = ({ audit }: Event): string => `${audit.origin}/${audit.index}`
const distinct = (events: readonly Event[]): Event[] => [
  ...new Map(events.map((event) => [placeOf(event), event])).values(),
]
const numbers = (events: readonly Event[]): number[] =>
  events.filter(({ event_name }) => event_name === 'app.x').map(({ app }) => app.i)
/** As long as a sink lets lines wait for others here. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

it('a collector that goes down and comes back: nothing lost, and nothing twice by origin and index', async () => {
  const chance = seededRandom(4)
  const answer = (response: Parameters<NonNullable<Parameters<typeof collector>[0]>>[0]): void => {
    // Some are accepted, but the answer is lost on the way.
    if (chance.uint32() % 3 === 0) response.destroy()
    else response.writeHead(200).end()
  }
  const first = collector(answer)
  const port = await listen(first.server)
  const { audit, record } = trail(httpSink({ url: `http://127.0.0.1:${port}/`, intervalMs: 5, batchLines: 7 }))
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
  await until(() => distinct(linesIn([...first.posts, ...second.posts])).length >= 120)
  expect((await audit.close()).undelivered).toEqual({})
  const all = linesIn([...first.posts, ...second.posts])
  expect(all.length).toBeGreaterThan(distinct(all).length)
  expect(numbers(distinct(all))).toEqual(upTo(120))
  expect(all.filter(({ event_name }) => event_name === 'audit.gap')).toEqual([])
})

it('a batch that is too large for a collector comes in parts; what is too large alone becomes a gap', async () => {
  const { server, posts } = collector((response, _, { body }) =>
    response.writeHead(body.length > 4000 ? 413 : 200).end(),
  )
  const { audit, record } = trail(httpSink({ url: `http://127.0.0.1:${await listen(server)}/`, intervalMs: 5 }))
  record(30)
  record(1, { texts: Array.from({ length: 6 }, () => 'x'.repeat(1000)) })
  record(30)
  await until(() =>
    linesIn(posts.filter(({ body }) => body.length <= 4000)).some(({ event_name }) => event_name === 'audit.gap'),
  )
  expect((await audit.close()).undelivered).toEqual({})
  const accepted = linesIn(posts.filter(({ body }) => body.length <= 4000))
  expect(numbers(distinct(accepted))).toEqual(upTo(61).filter((i) => i !== 30))
  const gaps = accepted.filter(({ event_name }) => event_name === 'audit.gap').map(({ log }) => log)
  expect(gaps).toMatchObject([{ sink: 'http', count: 1, reason: 'rejected' }])
  expect(gaps[0].first).toBe(gaps[0].last)
})

it('documents that Elasticsearch refuses become a gap, and the others are created once', async () => {
  const created = new Map<string, Event>()
  const { server } = collector((response, nth, { body }) => {
    const rows = body
      .split('\n')
      .slice(0, -1)
      .map((row) => JSON.parse(row))
    const items = []
    for (let i = 0; i < rows.length; i += 2) {
      const event = JSON.parse(rows[i + 1].event.original)
      const status = nth === 1 ? 429 : event.app?.i % 10 === 7 ? 400 : created.has(rows[i].create._id) ? 409 : 201
      if (status === 201) created.set(rows[i].create._id, event)
      items.push({ create: { status } })
    }
    response.writeHead(200).end(JSON.stringify({ errors: items.some(({ create }) => create.status > 201), items }))
  })
  const url = `http://127.0.0.1:${await listen(server)}/logs/_bulk`
  const { audit, record } = trail(httpSink({ url, format: 'elasticsearch', intervalMs: 5, batchLines: 10 }))
  record(40)
  const gaps = (): Event[] => [...created.values()].filter(({ event_name }) => event_name === 'audit.gap')
  await until(() => gaps().reduce((sum, { log }) => sum + log.count, 0) === 4)
  expect((await audit.close()).undelivered).toEqual({})
  expect(numbers([...created.values()])).toEqual(upTo(40).filter((i) => i % 10 !== 7))
  for (const [id, event] of created) expect(id).toBe(placeOf(event))
})

it('records that an OTLP collector refuses without a name are gaps of so many', async () => {
  let accepted = 0
  const { server } = collector((response, nth, { body }) => {
    const [{ scopeLogs }] = JSON.parse(body).resourceLogs
    const records: Event[] = scopeLogs[0].logRecords
    const refused = nth % 2 === 0 || nth > 4 ? 0 : Math.min(2, records.length - 1)
    accepted += records.length - refused
    const partialSuccess = refused === 0 ? {} : { rejectedLogRecords: String(refused), errorMessage: 'no' }
    response.writeHead(200).end(JSON.stringify({ partialSuccess }))
  })
  const url = `http://127.0.0.1:${await listen(server)}/v1/logs`
  const dir = tempFolder()
  const file = fileSink({ dir, instance: 'a' })
  const { audit, record } = trail(
    file,
    httpSink({ url, format: 'otlp', from: 'oldest', intervalMs: 5, batchLines: 10 }),
  )
  for (let i = 0; i < 4; i++) {
    record(10)
    await turn()
  }
  await until(() => accepted >= 35)
  const { undelivered } = await audit.close()
  let [lines, gaps] = [0, 0]
  for await (const event of queryLog(dir, {})) {
    lines++
    if (event.event_name === 'audit.gap') gaps += Number((event.log as Event).count)
  }
  expect(gaps).toBeGreaterThan(0)
  expect({ sum: accepted + gaps, undelivered }).toEqual({ sum: lines, undelivered: {} })
})

/** Keeps the events of messages, framed by their length; `onEvent` is called after each, and may end the connection. */
function syslogReceiver(onEvent: (socket: Socket) => void = () => undefined) {
  const lines: Event[] = []
  const serve = (socket: Socket): void => {
    let rest = ''
    socket.setEncoding('utf8').on('data', (part: string) => {
      rest += part
      while (!socket.destroyed) {
        const [head, length] = /^(\d+) /.exec(rest) ?? []
        if (head === undefined || rest.length < head.length + Number(length)) return
        lines.push(JSON.parse(rest.slice(head.length, head.length + Number(length)).replace(/^(\S+ ){7}/, '')))
        rest = rest.slice(head.length + Number(length))
        onEvent(socket)
      }
    })
  }
  return { lines, serve }
}

it('a syslog receiver that is killed again and again: every line arrives, and is told apart', {
  timeout: 120_000,
}, async () => {
  let taken = 0
  const { lines, serve } = syslogReceiver((socket) => {
    // It dies with what it has not read.
    if (++taken % 150 === 0 && taken <= 300) socket.destroy()
  })
  const server = createTcpServer(serve)
  closeAfterTest(server)
  const sink = syslogSink({
    host: '127.0.0.1',
    port: await listen(server),
    intervalMs: 5,
    batchLines: 20,
    // Half of it is how late this process may hear of a death that took lines with it.
    timeoutMs: 5000,
  })
  // Only a log on disk still has what was accepted.
  const { audit, record } = trail(fileSink({ dir: tempFolder() }), sink)
  const all = () => new Set(numbers(lines).filter((i) => i < 200)).size === 200
  for (let i = 0; i < 20; i++) {
    record(10)
    await turn()
  }
  // That a receiver has died of what it was sent is heard, and those lines are asked for, with the next write.
  while (!all()) {
    record(1)
    await turn()
  }
  await audit.close()
  expect(taken).toBeGreaterThan(300)
  expect(lines.length).toBeGreaterThan(distinct(lines).length)
})

it.each([
  ['in order', 5, (socket: Socket) => socket.destroy(), [fileSink]],
  ['in order, and no log on disk has the lines', 5, (socket: Socket) => socket.destroy(), []],
  ['by a reset', 5, (socket: Socket) => socket.resetAndDestroy(), [fileSink]],
  ['by a reset, after lines counted as accepted', 1200, (socket: Socket) => socket.resetAndDestroy(), [fileSink]],
] as const)(
  'a balancer that has no syslog receiver takes connections and ends them %s: that is told, and every line arrives',
  async (_, afterMs, end, logs) => {
    const { lines, serve } = syslogReceiver()
    let [connections, served] = [0, false]
    const server = createTcpServer((socket) => {
      connections++
      if (served) return serve(socket)
      socket.resume()
      setTimeout(() => end(socket), afterMs)
    })
    closeAfterTest(server)
    const port = await listen(server)
    const sink = syslogSink({ host: '127.0.0.1', port, intervalMs: 5, batchLines: 20, timeoutMs: 6000 })
    const { audit, record } = trail(...logs.map((make) => make({ dir: tempFolder() })), sink)
    const changes: string[] = []
    audit.on('audit.sink_changed', ({ log }) => changes.push(log.to))
    let recorded = 0
    while (connections < 4) {
      record(1)
      recorded++
      await turn()
    }
    expect(changes).toEqual(['failing'])
    served = true
    await until(() => changes.length === 2 && numbers(distinct(lines)).length === recorded)
    expect(changes).toEqual(['failing', 'ok'])
    expect((await audit.close()).undelivered).toEqual({})
    expect(numbers(distinct(lines)).sort((a, b) => a - b)).toEqual(upTo(recorded))
  },
)
