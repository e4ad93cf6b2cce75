// One backend: what the user declares of it, and the state that is kept for as long as it is the same one.
import { isIP } from 'node:net'
import { z } from 'zod'
import { quoted } from './shown.ts'
import { type TlsSettings, tlsSchema } from './tls.ts'

const url = z.string().superRefine((text, context) => {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  const hasUser = parsed !== undefined && (parsed.username !== '' || parsed.password !== '')
  const fault =
    parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
      ? 'an http:// or https:// URL'
      : hasUser
        ? 'a URL without user and password'
        : parsed.pathname !== '/' || parsed.search !== '' || parsed.hash !== ''
          ? 'a URL without path, query and fragment'
          : undefined
  if (fault !== undefined)
    context.addIssue({ code: 'custom', message: `expected ${fault}`, params: hasUser ? {} : { got: quoted(text) } })
})

/** A name that somebody gives: of a backend, a zone, a group. */
export const nameSchema = z
  .string()
  .regex(/^[A-Za-z0-9._:[\]-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ : [ ] -')

/** Whether a text is a name in the sense of DNS, and not an address. Underscores occur in names of services (RFC 2782). */
export function isHostName(text: string): boolean {
  const label = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/
  return (
    isIP(text) === 0 &&
    text.length <= 253 &&
    text
      .replace(/\.$/, '')
      .split('.')
      .every((one) => label.test(one))
  )
}

/** What fits into the address of a unix socket on every system (`sun_path`). */
const mostSocketPath = 103

const declared = z.strictObject({
  /** The name in records and changes. Default: host and port of the URL. */
  id: nameSchema.optional(),
  /** Scheme, host and port. */
  url,
  /** Share of the traffic in relation to the others, an integer from 0 to 65,535. 0: no new picks. Default 1. */
  weight: z.int().min(0).max(65_535).default(1),
  /** Where it runs: what `zone` prefers, and the record tells. */
  zone: nameSchema.optional(),
  /** Its level, an integer from 0 to 100: a level gets traffic only where those below it lack capacity. Default 0. */
  priority: z.int().min(0).max(100).default(0),
  /** The group that it belongs to: what `split` and `mirror` share traffic out by. */
  group: nameSchema.optional(),
  /** The most requests and leases that it has at once. Default unlimited. */
  maxInFlight: z.int().min(1).max(1_000_000).optional(),
  /**
   * The name that it goes by where its URL has an address: what its certificate must hold, what TLS asks for (SNI), and its
   * `Host` in probes and with `host: 'backend'`. Default: the host of the URL.
   */
  serverName: z
    .string()
    .refine(isHostName, 'expected a host name, such as shop.example, that is no IP address')
    .optional(),
  /** The path of the unix socket (or the name of the Windows pipe) that it listens at, in the place of host and port. */
  socketPath: z
    .string()
    .refine((path) => /^(\/|\\\\[.?]\\pipe\\)[^\0]+$/.test(path), 'expected an absolute path')
    .refine((path) => Buffer.byteLength(path) <= mostSocketPath, `expected at most ${mostSocketPath} bytes`)
    .optional(),
  /** TLS to it: what is set here counts before the pool's `tls`, member by member, and an identity as a whole. */
  tls: tlsSchema.optional(),
})

/** What backends of one source can have in common. */
export const backendTraits = declared.pick({
  weight: true,
  zone: true,
  priority: true,
  group: true,
  maxInFlight: true,
}).shape

const consistent = declared.superRefine(({ url: text, tls }, context) => {
  if (tls !== undefined && !/^https:/i.test(text))
    context.addIssue({ code: 'custom', path: ['tls'], message: 'not with an http:// URL: no TLS is spoken' })
})

/** A backend as configuration: a URL, or an object with one. */
export const backendSchema = z
  .union([url, consistent], { error: 'expected a URL, or an object with `url`' })
  .transform((given): Backend => {
    const { url: text, id, ...rest } = typeof given === 'string' ? declared.parse({ url: given }) : given
    const parsed = new URL(text)
    const port = Number(parsed.port) || (parsed.protocol === 'https:' ? 443 : 80)
    return Object.freeze({
      id: id ?? `${parsed.hostname}:${port}`,
      url: parsed.origin,
      address: parsed.hostname.replace(/^\[|\]$/g, ''),
      port,
      ...(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as typeof rest),
    })
  })

/** A list of backends, whose ids are distinct. */
export const backendsSchema = z.array(backendSchema).superRefine(
  (list: readonly (Backend | undefined)[], context) => {
    // Entries that are not valid themselves have no id yet: the others are compared all the same.
    if (!Array.isArray(list)) return
    const seen = new Set<string>()
    list.forEach((backend, i) => {
      const id = typeof backend === 'object' && backend !== null && Object.isFrozen(backend) ? backend.id : undefined
      if (id === undefined) return
      if (seen.has(id))
        context.addIssue({
          code: 'custom',
          path: [i, 'id'],
          message: 'expected distinct ids',
          params: { got: `${quoted(id)} twice` },
        })
      seen.add(id)
    })
  },
  { when: () => true },
)

export type BackendOptions = string | z.input<typeof declared>

/** A backend as it is configured. Immutable: a change makes a new one. */
export interface Backend {
  readonly id: string
  /** The origin: scheme, host and port. */
  readonly url: string
  readonly address: string
  readonly port: number
  readonly weight: number
  readonly priority: number
  readonly zone?: string | undefined
  readonly group?: string | undefined
  readonly maxInFlight?: number | undefined
  readonly serverName?: string | undefined
  readonly socketPath?: string | undefined
  readonly tls?: TlsSettings | undefined
}

/** Host and port as the backend's own URL has them, with its name for the host: a URL is an origin, with nothing behind them. */
export function authorityOf({ url, port, serverName }: Backend): string {
  if (serverName === undefined) return url.slice(url.indexOf('//') + 2)
  return port === (url.startsWith('https:') ? 443 : 80) ? serverName : `${serverName}:${port}`
}

/**
 * Set by an operator. Draining takes no new picks but of sticky clients, and finishes what is in flight; disabled takes none,
 * and what was in flight has been cut off.
 */
export type AdminState = 'ready' | 'draining' | 'disabled'
/** Set by active probes. A backend that was not probed yet is eligible, unless its initial state says otherwise. */
export type ActiveState = 'unknown' | 'healthy' | 'unhealthy'
/** Set by what the traffic shows. On trial it is eligible for one request at a time, which decides. */
export type PassiveState = 'ok' | 'ejected' | 'trial'
/** Set by what is in flight: whether it has room for one request more. */
export type CapacityState = 'free' | 'full'

/** The whole of a backend's ramp: what one that does not start slowly has. */
export const fullRamp = 1000

/**
 * What is known about a backend while it has the same identity (id and url). It survives every change of weight, order
 * and configuration; each field has one writer.
 */
export interface BackendState {
  /** Replaced by control when the configuration changes. */
  config: Backend
  /** Written by control. */
  admin: AdminState
  /** Written by active health. */
  active: ActiveState
  /** Written by passive health. */
  passive: PassiveState
  /** Written by routing. It flips with each request, so it makes no new snapshot. */
  capacity: CapacityState
  /** Whether it belongs to the group that gets copies of requests only. Written by routing. */
  copiesOnly: boolean
  /** Whether its group has no share of the traffic, by what `split` says. Written by routing. */
  noShare: boolean
  /** Of what is in flight, how many a trial leaves out of account, as they began before it. Written by passive health. */
  stale: number
  /** How much of its weight it gets, in permille: less than {@link fullRamp} while it starts slowly. Written by routing. */
  ramp: number
  /** What counts in a pick: the configured weight times `ramp`, an integer. Written by routing. */
  weight: number
  /** Requests and leases that hold it now. Written by routing. */
  inFlight: number
  /**
   * Requests that it counts as having besides, because it came to a pool where the others have some: without them it would
   * get every pick until it has caught up. They go away as fast as the others' requests end. Written by routing.
   */
  handicap: number
  /** Picks so far. Written by routing. */
  picks: number
  /** Attempts and leases that failed by its fault so far. Written by routing. */
  failures: number
}

export const newBackendState = (config: Backend): BackendState => ({
  config,
  admin: 'ready',
  active: 'unknown',
  passive: 'ok',
  capacity: 'free',
  copiesOnly: false,
  noShare: false,
  stale: 0,
  ramp: fullRamp,
  weight: config.weight * fullRamp,
  inFlight: 0,
  handicap: 0,
  picks: 0,
  failures: 0,
})

/** The load that strategies compare. */
export const loadOf = (backend: BackendState): number => backend.inFlight + backend.handicap

/** Whether it can take one request more. One that is on trial takes one at a time. */
export const hasRoom = ({ inFlight, passive, stale, config }: BackendState): boolean => {
  const most = config.maxInFlight ?? Number.POSITIVE_INFINITY
  return inFlight < (passive === 'trial' ? Math.min(stale + 1, most) : most)
}
