// The options of active probes: what is asked of a backend, how often, and what moves it.
import { isDeepStrictEqual, types } from 'node:util'
import { z } from 'zod'
import type { Backend } from '../backend.ts'

/**
 * A probe of one's own. Resolving is a success; rejecting or throwing is a failure, with the reason given. The signal is
 * aborted once the result does not count any more: after `timeoutMs`, and when probing stops.
 */
export type ProbeFunction = (backend: Backend, signal: AbortSignal) => Promise<void> | void

const range = z
  .strictObject({ from: z.int().min(100).max(599), to: z.int().min(100).max(599) })
  .refine(({ from, to }) => from <= to, 'expected `from` not above `to`')

/** What a message may not have said by anybody but who frames it (RFC 9110, RFC 9112). */
const framing = /^(connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade)$/
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/
/** Checked by a rule of its own: what is wrong may be a secret, which such a fault does not show. */
const headerValue = z
  .string()
  .refine((text) => /^[\t\x20-\x7e\x80-\xff]{0,8192}$/.test(text), 'expected a header value')

const headers = z.record(z.string(), headerValue).superRefine((given, context) => {
  const seen = new Set<string>()
  for (const name of Object.keys(given)) {
    const folded = name.toLowerCase()
    const fault = !token.test(name)
      ? 'not the name of a header'
      : folded === 'host'
        ? 'the option `host` sets it'
        : framing.test(folded)
          ? 'not for a probe to set: it is part of the framing'
          : seen.has(folded)
            ? 'there is another that differs in case only'
            : undefined
    seen.add(folded)
    if (fault !== undefined) context.addIssue({ code: 'custom', path: [name], message: fault })
  }
})

const pattern = z
  .custom<RegExp>((value) => types.isRegExp(value), 'expected text or a regular expression')
  .transform((given) => new RegExp(given.source, given.flags))

/** The options that speak of HTTP. */
const httpShape = {
  /** What is asked of the backend. Default `/`. */
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, 'expected a path that begins with /')
    .optional(),
  /** `GET` or `HEAD`. Default `GET`. */
  method: z.enum(['GET', 'HEAD']).optional(),
  /** The `Host` that is sent. Default host and port of the backend's URL. */
  host: z
    .string()
    .regex(/^[A-Za-z0-9._~%:[\]-]{1,255}$/, 'expected a host, and a port if there is one')
    .optional(),
  /** Further headers by name. Of their values the log has the lengths. Default none. */
  headers: headers.optional(),
  /** Statuses that count as a success. Default 200 to 399. */
  statuses: range.optional(),
  /** Text that the body must contain, or a regular expression that must match it. Its first 64 KiB are read. Default: not read. */
  body: z.union([z.string().min(1), pattern], { error: 'expected text or a regular expression' }).optional(),
}

const given = z.strictObject({
  /** `http`: a request, by the scheme of the backend's URL; `tcp`: a connection. Default `http`. */
  type: z.enum(['http', 'tcp']).optional(),
  /** A function that probes, in the place of a type. */
  probe: z
    .custom<ProbeFunction>((value) => typeof value === 'function', 'expected a function (backend, signal) => …')
    .optional(),
  ...httpShape,
  /** The port that is probed. Default that of the backend's URL. */
  port: z.int().min(1).max(65_535).optional(),
  /** Time between the end of a probe and the next, in ms; each is drawn from 90 % to 110 % of it. Default 2,000. */
  intervalMs: z.int().min(10).max(3_600_000).default(2000),
  /**
   * The same while a backend is changing: its last result speaks against its state, and the threshold is not reached. At
   * most `intervalMs`. Default a quarter of that, at least 10.
   */
  fastIntervalMs: z.int().min(10).max(3_600_000).optional(),
  /** How long a probe may take as a whole, in ms. Default 1,000. */
  timeoutMs: z.int().min(1).max(600_000).default(1000),
  /** Consecutive successes that make a backend healthy. The first result of one in its initial state needs one only. Default 2. */
  rise: z.int().min(1).max(100).default(2),
  /** Consecutive failures that make it unhealthy. Default 3. */
  fall: z.int().min(1).max(100).default(3),
  /**
   * What a new backend is before its first result. `unknown` and `healthy` ones are eligible; an `unhealthy` one is not
   * until its first success. Default `unknown`.
   */
  initial: z.enum(['unknown', 'healthy', 'unhealthy']).default('unknown'),
})
type Given = z.output<typeof given>

export const activeSchema = given
  // Also where members are wrong by themselves: every problem is told at once.
  .superRefine(
    (options, context) => {
      for (const [name, message] of contradictions(options)) context.addIssue({ code: 'custom', path: [name], message })
    },
    { when: ({ value }) => typeof value === 'object' && value !== null },
  )
  .transform(complete)
export type ActiveConfig = z.output<typeof activeSchema>

export interface HttpProbe {
  readonly path: string
  readonly method: 'GET' | 'HEAD'
  readonly host?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly statuses: { readonly from: number; readonly to: number }
  readonly body?: string | RegExp
  readonly port?: number
}

/** Whether two configurations probe alike: records tell functions by name, and headers by length only. */
export const isSameProbing = (a: ActiveConfig | undefined, b: ActiveConfig | undefined): boolean =>
  isDeepStrictEqual(a, b)

/** Options that make no sense together: the one that is to go, and why. */
function contradictions(options: Partial<Given>): [string, string][] {
  const { type, probe, method, body, intervalMs, fastIntervalMs } = options
  const found: [string, string][] = []
  const forbid = (names: readonly string[], why: string): void => {
    for (const name of names) if (options[name as keyof Given] !== undefined) found.push([name, why])
  }
  if (probe !== undefined) forbid(['type', 'port', ...Object.keys(httpShape)], 'not together with `probe`')
  else if (type === 'tcp') forbid(Object.keys(httpShape), 'not with type "tcp": it speaks of HTTP')
  else if (method === 'HEAD' && body !== undefined) found.push(['body', 'not with method "HEAD": there is none'])
  if (fastIntervalMs !== undefined && intervalMs !== undefined && fastIntervalMs > intervalMs)
    found.push(['fastIntervalMs', `expected at most \`intervalMs\`, which is ${intervalMs}, got ${fastIntervalMs}`])
  return found
}

function complete({ type, probe, path, method, host, headers, statuses, body, port, ...rest }: Given) {
  const pace = {
    ...rest,
    fastIntervalMs: rest.fastIntervalMs ?? Math.max(10, Math.ceil(rest.intervalMs / 4)),
  }
  if (probe !== undefined) return { ...pace, probe }
  const at = port === undefined ? {} : { port }
  if (type === 'tcp') return { ...pace, type, ...at }
  return {
    ...pace,
    type: 'http' as const,
    path: path ?? '/',
    method: method ?? 'GET',
    statuses: statuses ?? { from: 200, to: 399 },
    ...(host === undefined ? {} : { host }),
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body }),
    ...at,
  } satisfies HttpProbe & { readonly type: 'http' }
}
