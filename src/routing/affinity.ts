// Affinity: keeps a client on the backend that it had, by a signed cookie or by a key of its requests.
import { z } from 'zod'
import type { BackendState } from '../backend.ts'
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { PickRequest } from '../request.ts'
import { cookieOf, keyOf, keySchema } from '../request-key.ts'
import { BackendCookie, cookieSchema } from './cookie.ts'

const byCookie = z.strictObject({ cookie: cookieSchema })
const byKey = z.strictObject({
  /** What stands for a client: as the key of `consistent-hash`. */
  key: keySchema,
  /** How long a client that is not seen is remembered, in ms. Default 1,800,000. */
  ttlMs: z.int().min(1000).max(604_800_000).default(1_800_000),
  /** How many clients are remembered; the one not seen for longest is forgotten first. Default 100,000. */
  max: z.int().min(1).max(10_000_000).default(100_000),
})
export const affinitySchema = z.union([byCookie, byKey], {
  error: 'expected an object with `cookie`, or one with `key`',
})
export type AffinityConfig = z.output<typeof affinitySchema>

/** Whom a client is bound to: a backend, `lost` if that one has left, `invalid` if what it brought is not ours, or nobody. */
export type Binding = BackendState | 'lost' | 'invalid' | undefined

export interface Affinity {
  /** Must be called with the backends of the pool after each change of them. */
  know(backends: readonly BackendState[]): void
  /** Never throws. */
  find(request: PickRequest): Binding
  /** Binds the client to this backend; returns the `Set-Cookie` that tells it so, if one does. Never throws. */
  bind(request: PickRequest, backend: BackendState): string | undefined
}

/** `onFault` is told what code of the host throws, a key function or a getter: the client counts as one without a key then. */
export const createAffinity = (config: AffinityConfig, clock: Clock, onFault: (fault: string) => void): Affinity =>
  'cookie' in config ? new ByCookie(config, onFault) : new ByKey(config, clock, onFault)

/** The name of the cookie that is ours, where there is one. */
export const ownCookieOf = (config: AffinityConfig | undefined): string | undefined =>
  config !== undefined && 'cookie' in config ? config.cookie.name : undefined

/** Whether one that a client is bound to can still have it: draining is no reason to leave, nor is health in panic. */
export const canKeep = ({ admin, active, passive }: BackendState, panic: boolean): boolean =>
  admin !== 'disabled' && (panic || (active !== 'unhealthy' && passive !== 'ejected'))

class ByCookie implements Affinity {
  readonly #cookie: BackendCookie
  readonly #onFault: (fault: string) => void

  constructor({ cookie }: z.output<typeof byCookie>, onFault: (fault: string) => void) {
    this.#onFault = onFault
    this.#cookie = new BackendCookie(cookie)
  }

  know(backends: readonly BackendState[]): void {
    this.#cookie.know(backends)
  }

  find(request: PickRequest): Binding {
    const value = this.#valueOf(request)
    if (value === undefined) return undefined
    const backend = this.#cookie.read(value)
    return backend === undefined ? 'lost' : (backend ?? 'invalid')
  }

  bind(_: PickRequest, backend: BackendState): string | undefined {
    return this.#cookie.write(backend)
  }

  // The request of a lease is the host's own: reading it may run code of the host.
  #valueOf(request: PickRequest): string | undefined {
    try {
      return cookieOf(request, this.#cookie.name)
    } catch (error) {
      this.#onFault(reasonOf(error))
      return undefined
    }
  }
}

interface Bound {
  /** A text of its own: a part of a header would keep the whole of that alive. */
  readonly key: string
  readonly backend: BackendState
  seenUs: number
}

/** A longer key is taken for what its beginning is: what a client sends must not fill the memory. */
const longestKey = 256

class ByKey implements Affinity {
  readonly #config: z.output<typeof byKey>
  readonly #clock: Clock
  readonly #onFault: (fault: string) => void
  /** In the order in which they were last seen. */
  readonly #bound = new Map<string, Bound>()
  #backends: ReadonlySet<BackendState> = new Set()

  constructor(config: z.output<typeof byKey>, clock: Clock, onFault: (fault: string) => void) {
    this.#config = config
    this.#clock = clock
    this.#onFault = onFault
  }

  know(backends: readonly BackendState[]): void {
    this.#backends = new Set(backends)
  }

  find(request: PickRequest): Binding {
    const key = this.#keyOf(request)
    const bound = key === undefined ? undefined : this.#bound.get(key)
    if (key === undefined || bound === undefined) return undefined
    this.#bound.delete(key)
    const nowUs = this.#clock.monoUs()
    if (nowUs - bound.seenUs > this.#config.ttlMs * 1000) return undefined
    if (!this.#backends.has(bound.backend)) return 'lost'
    bound.seenUs = nowUs
    this.#bound.set(bound.key, bound)
    return bound.backend
  }

  bind(request: PickRequest, backend: BackendState): undefined {
    const part = this.#keyOf(request)
    if (part === undefined || !this.#backends.has(backend)) return
    const key = copyOf(part)
    this.#bound.delete(key)
    this.#bound.set(key, { key, backend, seenUs: this.#clock.monoUs() })
    if (this.#bound.size > this.#config.max) this.#bound.delete(this.#bound.keys().next().value!)
  }

  #keyOf(request: PickRequest): string | undefined {
    try {
      return keyOf(request, this.#config.key)?.slice(0, longestKey)
    } catch (error) {
      this.#onFault(reasonOf(error))
      return undefined
    }
  }
}

/** The same text, sharing no memory with what it was cut from. As UTF-16, which holds any text. */
const copyOf = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le')
