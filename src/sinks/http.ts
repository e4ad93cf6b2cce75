// httpSink: posts batches of lines to a collector.
import { Agent, request } from 'undici'
import { z } from 'zod'
import { parseOptions } from '../parse.ts'
import type { Batch, Sink } from '../sink.ts'

const schema = z.strictObject({
  /** Where batches are posted: an http:// or https:// URL. A redirect is a refusal: it is not followed. */
  url: z.url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL' }),
  /** The sink's name in faults and gaps. Default `http`. */
  name: z.string().min(1).default('http'),
  /** Headers of each post, or a function, which may be async, that makes them anew for each: for tokens that expire. Default none. */
  headers: z
    .union(
      [
        z.record(z.string(), z.string()),
        z.custom<() => Record<string, string> | Promise<Record<string, string>>>(
          (value) => typeof value === 'function',
        ),
      ],
      { error: 'expected an object of texts, or a function that returns one' },
    )
    .default({}),
  /** Most lines of a batch. Default 500. */
  batchLines: z.int().min(1).max(100_000).default(500),
  /** Most bytes of a batch. Default 1 MiB. */
  batchBytes: z
    .int()
    .min(1024)
    .max(64 << 20)
    .default(1 << 20),
  /** How long a line waits for others, in ms. Default 1,000. */
  intervalMs: z.int().min(1).max(60_000).default(1000),
  /** How long a post may take, in ms. Default 10,000. */
  timeoutMs: z.int().min(1).max(600_000).default(10_000),
})
export type HttpSinkOptions = z.input<typeof schema>

/**
 * Posts each batch as `application/x-ndjson`, with `idempotency-key: <origin>/<first>-<last>`, by which a collector can tell
 * a repeated post from a new one, until the process crashes (see {@link Batch}). 2xx is acceptance. 408, 425, 429, every 5xx and every fault on the way are tried again
 * with growing pauses, not before `Retry-After`; any other answer refuses the batch for good, and it becomes a gap.
 */
export function httpSink(options: HttpSinkOptions): Sink {
  const config = parseOptions(schema, options, 'httpSink')
  const { name, batchLines, batchBytes, intervalMs, timeoutMs } = config
  const dispatcher = new Agent({ connections: 1, pipelining: 1 })
  return {
    name,
    feed: { lines: batchLines, bytes: batchBytes, intervalMs, timeoutMs },
    async write(batch, signal) {
      const { statusCode, headers, body } = await request(config.url, {
        method: 'POST',
        dispatcher,
        signal,
        headers: headersOf(batch, typeof config.headers === 'function' ? await config.headers() : config.headers),
        body: `${batch.lines.join('\n')}\n`,
      })
      // Read to its end, so that the connection can be used again; a collector's answer is short.
      await body.dump({ limit: 65_536 })
      if (statusCode >= 200 && statusCode < 300) return
      throw new Refusal(statusCode, headers['retry-after'])
    },
    async close() {
      await dispatcher.destroy()
    },
  }
}

const headersOf = (batch: Batch, own: Readonly<Record<string, string>>): Record<string, string> => ({
  'content-type': 'application/x-ndjson',
  'idempotency-key': `${batch.origin}/${batch.first}-${batch.last}`,
  ...own,
})

/** Longer waits are not asked for by a collector in its right mind. */
const mostRetryAfterMs = 300_000

class Refusal extends Error {
  readonly permanent: boolean
  readonly retryAfterMs: number

  constructor(status: number, retryAfter: string | string[] | undefined) {
    super(`the collector answered ${status}`)
    this.permanent = status < 500 && status !== 408 && status !== 425 && status !== 429
    // Delay in seconds (RFC 9110 section 10.2.3); the form with a date is rare, and our own pause serves then.
    const seconds = Number(retryAfter)
    this.retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, mostRetryAfterMs) : 0
  }
}
