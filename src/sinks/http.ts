// httpSink: posts batches of lines to a collector, in the format that it takes.
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Agent, type Dispatcher, request } from 'undici'
import { type Clock, systemClock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import type { Logger } from '../runtime.ts'
import type { Batch, Sink } from '../sink.ts'
import type { Payload } from './formats/format.ts'
import { named } from './formats/index.ts'
import { headersOf } from './shared/headers.ts'
import { type HttpConfig, type HttpSinkOptions, httpSinkSchema } from './shared/http-options.ts'
import { fedBy } from './shared/options.ts'
import { Refusal, refusalOf } from './shared/refusal.ts'
import { retryAfterMs } from './shared/retry-after.ts'
import { securityOf } from './shared/security.ts'

export type { HttpSinkOptions } from './shared/http-options.ts'

/** How much of an answer is read where its status does not say all, and where it does. */
const mostAnswer = 4 << 20
const mostIgnored = 65_536
const ignoredMs = 1000

const compressed = promisify(gzip)

/**
 * Posts each batch with `idempotency-key: <origin>/<first>-<last>`, by which a collector can tell a repeated post from a
 * new one, for good. 2xx is acceptance, as far as the format finds nothing else in the answer. 400, 413 and 422 blame the
 * lines, which are given up; every other answer and every fault on the way is tried again with growing pauses, not before
 * `Retry-After`.
 */
export function httpSink(options: HttpSinkOptions): Sink {
  const config = parseOptions(httpSinkSchema, options, 'httpSink')
  const { url, compress, tls, serverName } = config
  const format = formatOf(config)
  const bytes = typeof config.format === 'function' ? undefined : named[config.format].bytes
  const dispatcher = new Agent({
    connections: 1,
    pipelining: 1,
    connect: securityOf(tls, serverName),
    // How long a write may take is the trail's to say, by its signal.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  let clock: Clock = systemClock
  let logger: Logger | undefined
  let told: string | undefined

  return {
    ...fedBy(config, bytes),
    async open(context) {
      clock = context.clock
      logger = context.logger
    },
    async write(batch, signal) {
      const payload = await format(batch)
      const answer = await request(url, {
        method: 'POST',
        dispatcher,
        signal,
        headers: {
          'content-type': payload.contentType,
          'idempotency-key': `${batch.origin}/${batch.first}-${batch.last}`,
          ...payload.headers,
          ...(compress === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
          ...(await headersOf(config.headers)),
        },
        body: compress === 'gzip' ? await compressed(payload.body) : payload.body,
      })
      const { statusCode: status, headers, body } = answer
      const accepted = status >= 200 && status < 300
      if (!accepted) {
        // Read to its end, so that the connection can be used again.
        await body.dump({ limit: mostIgnored, signal })
        throw refusalOf(status, retryAfterMs(headers, clock.now()))
      }
      if (payload.accepted === undefined) return ignore(body, clock)
      const note = payload.accepted({ status, body: await textOf(body) })
      // The same for a long time is told once.
      if (note !== undefined && note !== told)
        logger?.warn({ sink: config.name, note }, 'a collector accepted lines, but not all is well')
      told = note
    },
    async close() {
      await dispatcher.destroy()
    },
  }
}

/** Lets an answer whose status says all come to its end, so that the connection can be used again; one that takes long is cut off. */
function ignore(body: Dispatcher.ResponseData['body'], clock: Clock): void {
  const timer = clock.after(ignoredMs, () => body.destroy())
  body
    .dump({ limit: mostIgnored })
    .catch(() => undefined)
    .finally(() => timer.cancel())
}

function formatOf({ format, map }: HttpConfig): (batch: Batch) => Promise<Payload> {
  const make = typeof format === 'function' ? format : named[format].make(map === undefined ? {} : { map })
  return async (batch) => {
    try {
      return await (make.inTurns ?? make)(batch)
    } catch (error) {
      // Whatever is wrong with a line is so each time: the batch is cut until that line is alone.
      throw new Refusal(`the format failed: ${reasonOf(error)}`, { permanent: true })
    }
  }
}

/** The text of an answer; the empty text of one that is longer than any that is meant. */
async function textOf(body: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    if (bytes > mostAnswer) {
      body.destroy()
      return ''
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
