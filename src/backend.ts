// One backend: what the user declares of it, and the state that is kept for as long as it is the same one.
import { z } from 'zod'

const url = z.string().superRefine((text, context) => {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  // What is wrong is shown, but for a password.
  const shown = parsed?.username === '' && parsed.password === '' ? `, got ${JSON.stringify(text)}` : ''
  const fault =
    parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
      ? 'an http:// or https:// URL'
      : parsed.username !== '' || parsed.password !== ''
        ? 'a URL without user and password'
        : parsed.pathname !== '/' || parsed.search !== '' || parsed.hash !== ''
          ? 'a URL without path, query and fragment'
          : undefined
  if (fault !== undefined)
    context.addIssue({
      code: 'custom',
      message: `expected ${fault}${parsed === undefined ? `, got ${JSON.stringify(text)}` : shown}`,
    })
})

const name = z
  .string()
  .regex(/^[A-Za-z0-9._:[\]-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ : [ ] -')

const declared = z.strictObject({
  /** The name in records and changes. Default: host and port of the URL. */
  id: name.optional(),
  /** Scheme, host and port. */
  url,
  /** Share of the traffic in relation to the others, an integer from 0 to 65,535. 0: no new picks. Default 1. */
  weight: z.int().min(0).max(65_535).default(1),
  /** Where it runs, for the record. */
  zone: name.optional(),
})

/** A backend as configuration: a URL, or an object with one. */
export const backendSchema = z
  .union([url, declared], { error: 'expected a URL, or an object with `url`' })
  .transform((given): Backend => {
    const { url: text, id, weight, zone } = typeof given === 'string' ? declared.parse({ url: given }) : given
    const parsed = new URL(text)
    const port = Number(parsed.port) || (parsed.protocol === 'https:' ? 443 : 80)
    return Object.freeze({
      id: id ?? `${parsed.hostname}:${port}`,
      url: parsed.origin,
      address: parsed.hostname.replace(/^\[|\]$/g, ''),
      port,
      weight,
      ...(zone === undefined ? {} : { zone }),
    })
  })

export type BackendOptions = string | z.input<typeof declared>

/** A backend as it is configured. Immutable: a change makes a new one. */
export interface Backend {
  readonly id: string
  /** The origin: scheme, host and port. */
  readonly url: string
  readonly address: string
  readonly port: number
  readonly weight: number
  readonly zone?: string
}

/** Set by an operator. Draining takes no new picks and finishes what is in flight. */
export type AdminState = 'ready' | 'draining'
/** Set by active probes. A backend that was not probed yet is eligible. */
export type ActiveState = 'unknown' | 'healthy' | 'unhealthy'
/** Set by what the traffic shows. */
export type PassiveState = 'ok' | 'ejected'

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
  /** Requests and leases that hold it now. Written by routing. */
  inFlight: number
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
  inFlight: 0,
  picks: 0,
  failures: 0,
})
