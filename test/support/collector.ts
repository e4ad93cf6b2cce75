// A collector: a real HTTP server that keeps what is posted to it, and answers as a test tells it.
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import { gunzipSync } from 'node:zlib'
import { seededRandom } from '../../src/random.ts'
import type { Batch, Sink, SinkContext } from '../../src/sink.ts'
import { closeAfterTest } from './closing.ts'
import { fakeClock } from './fake-clock.ts'
import { keepLogger, type TestLogger } from './sinks.ts'
import { until } from './until.ts'

export interface Post {
  readonly headers: IncomingHttpHeaders
  readonly url: string
  readonly body: string
}

/** What `post` is answered with: `nth` counts from 1. */
export type Answering = (response: ServerResponse, nth: number, post: Post) => void

export interface Collector {
  readonly server: Server
  readonly posts: Post[]
  /** How many connections there were. */
  readonly connections: () => number
}

export function collector(
  answer: Answering = (response) => response.writeHead(204).end(),
  tls?: ServerOptions,
): Collector {
  const posts: Post[] = []
  let connections = 0
  const server = tls === undefined ? createServer() : createTlsServer(tls)
  server.on(tls === undefined ? 'connection' : 'secureConnection', () => connections++)
  server.on('request', (request, response) => {
    const parts: Buffer[] = []
    request.on('error', () => undefined)
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const raw = Buffer.concat(parts)
      const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString('utf8')
      const post = { headers: request.headers, url: `${request.method} ${request.url}`, body }
      posts.push(post)
      answer(response, posts.length, post)
    })
  })
  closeAfterTest(server)
  return { server: server as Server, posts, connections: () => connections }
}

export interface Fed {
  readonly logger: TestLogger
  readonly clock: ReturnType<typeof fakeClock>
  readonly context: SinkContext
  /** Hands a batch over, as the delivery does; resolves to what it was rejected with. */
  write(batch: Batch, signal?: AbortSignal): Promise<Rejection | undefined>
}

// biome-ignore lint/suspicious/noExplicitAny: a rejection can be anything.
type Rejection = any

/** A sink that was opened. */
export async function fed(sink: Sink): Promise<Fed> {
  const [logger, clock] = [keepLogger(), fakeClock()]
  const context = { service: 'demo', instance: 'host-1.0', clock, random: seededRandom(1), logger }
  await sink.open?.(context)
  return {
    logger,
    clock,
    context,
    write: (batch, signal = new AbortController().signal) =>
      sink.write(batch, signal).then(
        () => undefined,
        (error) => error,
      ),
  }
}

/** The same for a sink whose writes wait: time passes until they have settled. `writeAtOnce` does not move it. */
export async function fedInTime(sink: Sink): Promise<Fed & { writeAtOnce: Fed['write'] }> {
  const made = await fed(sink)
  const { clock, write: writeAtOnce } = made
  const write: Fed['write'] = async (batch, signal) => {
    let over = false
    const writing = writeAtOnce(batch, signal).finally(() => {
      over = true
    })
    while (!over) {
      await until(() => over || clock.timers > 0)
      if (!over) clock.advance(100)
    }
    return writing
  }
  return { ...made, write, writeAtOnce }
}
