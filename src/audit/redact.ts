// Redaction: what of a request and of other facts is kept, and how the rest is told.
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { EventFields, EventName } from '../events.ts'
import { leastKeyBytes, SecretKey, type Telling, withheld, withoutUserinfo } from '../secret.ts'
import { clientSchema, createClientMask } from './client.ts'
import { Cookies } from './cookies.ts'
import { Facts } from './facts.ts'
import { Headers, type Redacted } from './headers.ts'
import { Mask } from './mask.ts'
import { templatesSchema } from './paths.ts'
import { createScrub, scrubSchema } from './scrub.ts'
import { safeId } from './text.ts'
import { traceMask } from './trace-mask.ts'
import { type RedactedUrl, Urls } from './url.ts'

const keep = z.union([z.literal('all'), z.array(z.string().min(1))], { error: 'expected a list of names, or "all"' })

/** Headers that say what was asked for and by what kind of client, and hold no secret and no person. */
const keptHeaders = [
  'accept',
  'accept-encoding',
  'accept-language',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'range',
  'traceparent',
  'transfer-encoding',
  'user-agent',
  'via',
]

type KeyText = string | Uint8Array
const isKey = (value: unknown): value is KeyText =>
  (typeof value === 'string' || value instanceof Uint8Array) && Buffer.byteLength(value as string) >= leastKeyBytes
const expectedKey = `expected a key: text or a Buffer of at least ${leastKeyBytes} bytes, or a function that returns one`

/** Becomes a thing that shows nothing of itself, so that no printed configuration holds it. */
const keySchema = z
  .custom<KeyText | (() => KeyText)>((value) => typeof value === 'function' || isKey(value), expectedKey)
  .transform((given, context) => {
    let key: unknown
    try {
      key = typeof given === 'function' ? given() : given
    } catch {
      key = undefined
    }
    if (isKey(key)) return new SecretKey(key)
    context.addIssue({ code: 'custom', message: `${expectedKey} at once` })
    return z.NEVER
  })

export const redactSchema = z.strictObject({
  headers: z
    .strictObject({
      /** Names of the request headers whose values are recorded; of the others name and length are. `all` keeps every value. */
      keep: keep.default(keptHeaders),
    })
    .prefault({}),
  cookies: z
    .strictObject({
      /**
       * Where `redact.headers.keep` keeps `cookie`: names of the cookies whose values are recorded; of the others name and
       * length are. Default none, and `all` where `redact.headers.keep` is `all`.
       */
      keep: keep.optional(),
    })
    .prefault({}),
  query: z
    .strictObject({
      /** Names of the query parameters whose values are recorded. Default none. */
      keep: keep.default([]),
    })
    .prefault({}),
  /**
   * Paths such as `/users/:id/orders/:order` and `/files/*`: `url.path` of a request that has one of them is `/users/{id}/…`, the
   * first that fits, and `url.path_params` tells what stood there by its length. Or a function of the path that returns what
   * is recorded. Default none.
   */
  path: templatesSchema.default([]),
  /**
   * A key of 16 bytes or more, or a function that returns it: then values that are not kept are told by a keyed HMAC too, by
   * which equal ones can be matched. The same on all nodes. Without one no hash of any value is recorded. Default none.
   */
  key: keySchema.optional(),
  /** What is taken out of all text that is kept. */
  scrub: scrubSchema.prefault({}),
  /**
   * How addresses of clients are recorded: `full`, `truncate` (the network: /24 of IPv4, /48 of IPv6), or by a pseudonym.
   * Access rules and routing go by the address itself in any case. Default `full`.
   */
  client: clientSchema.default('full'),
})
export type RedactConfig = z.output<typeof redactSchema>

export interface Redactor {
  /** Names and values in turn, as they came. */
  headers(raw: readonly string[]): Redacted
  /** The target of a request, split: its path, and each query parameter kept or told by its length. */
  url(target: string): RedactedUrl
  /** An id that somebody else has made. */
  id(id: string | undefined): string | undefined
  /** The fields of an event, without what of them may not be recorded. Those of requests are changed in their place. */
  event<N extends EventName>(name: N, fields: EventFields<N>): EventFields<N>
  /** How records tell a configuration. */
  readonly telling: Telling
  /** Resolves once addresses of clients can be told as the options say; rejects with `config-invalid` if they cannot. */
  ready(): Promise<void>
}

export interface RedactorContext {
  readonly clock: Clock
  /** Hears of the faults of what the user has given: which option it is, and what it did. */
  readonly onFault: (option: string, error: unknown) => void
}

const mostId = 128

export function createRedactor(config: RedactConfig, { clock, onFault }: RedactorContext): Redactor {
  const scrub = createScrub(config.scrub, (error) => onFault('redact.scrub', error))
  const client = createClientMask(config.client, clock, (error) => onFault('redact.client', error))
  const addresses = client === undefined
  const mask = new Mask(config.key, addresses)
  const everything = config.headers.keep === 'all'
  const cookies = new Cookies(config.cookies.keep ?? (everything ? 'all' : []), mask, scrub)
  const urls = new Urls({
    keep: config.query.keep,
    templates: config.path,
    scrub,
    mask,
    onFault: (error) => onFault('redact.path', error),
  })
  const headers = new Headers({
    keep: config.headers.keep,
    scrub,
    mask,
    cookies,
    urls,
    addresses,
  })
  const facts = new Facts(scrub, client, traceMask(config))
  return {
    headers: (raw) => headers.redact(raw),
    url: (target) => urls.target(target),
    id: (id) => (id === undefined ? undefined : safeId(id, mostId, scrub)),
    event: (name, fields) => facts.redact(name, fields),
    telling: tellingOf(config, mask),
    ready: () => client?.ready() ?? Promise.resolve(),
  }
}

/** Templates are for paths that clients ask for, and scrubbers for their words: a configuration is told whole. */
function tellingOf({ query, key }: RedactConfig, mask: Mask): Telling {
  const urls = new Urls({ keep: query.keep, templates: [], scrub: (text) => text, mask, onFault: () => undefined })
  return {
    secret: (value) => withheld(value, key),
    text(value) {
      const isUrl = value.startsWith('/') ? value.includes('?') : /^[a-z][a-z0-9+.-]{0,31}:\/\//i.test(value)
      const shown = withoutUserinfo(isUrl ? urls.hidden(value) : value)
      return shown === value ? value : withheld(value, key, shown.toWellFormed())
    },
  }
}
