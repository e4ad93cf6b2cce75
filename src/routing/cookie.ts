// The cookie of an affinity: names a backend in a way that only we can make and read.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { BackendState } from '../backend.ts'

const token = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, 'expected a name of 1 to 64 token characters')
const secret = z.string().min(16, 'expected at least 16 characters').max(1024)

export const cookieSchema = z
  .strictObject({
    /** The name of the cookie. Default `lb`. */
    name: token.default('lb'),
    /**
     * What signs it, at least 16 characters, the same on all nodes. Of several the first signs and all are accepted, so that
     * it can be changed while clients hold cookies by the old one. Records tell its length, and its HMAC under `redact.key`.
     */
    secret: z.union([secret, z.array(secret).min(1).max(8)]),
    /** How long the client keeps it, in seconds. Default: until it ends its session. */
    maxAgeSeconds: z.int().min(1).max(34_560_000).optional(),
    /** The paths that it is sent for. Default `/`. */
    path: z
      .string()
      .regex(/^\/[\x21-\x3a\x3c-\x7e]*$/, 'expected a path that begins with /')
      .default('/'),
    /** Whether it goes over TLS only. Default false: the balancer may stand behind what ends TLS. */
    secure: z.boolean().default(false),
    /** Whether scripts are kept from reading it. Default true. */
    httpOnly: z.boolean().default(true),
    /** Whether other sites' requests carry it. `none` needs `secure`. Default `lax`. */
    sameSite: z.enum(['strict', 'lax', 'none']).default('lax'),
  })
  .refine(({ sameSite, secure }) => sameSite !== 'none' || secure, {
    path: ['secure'],
    message: 'expected true: browsers refuse `sameSite: none` without it',
  })
export type CookieConfig = z.output<typeof cookieSchema>

/** Enough of a hash that two backends of one pool never share it. */
const tagChars = 12
const signatureChars = 22

/**
 * The value is a tag, which is a keyed hash of the backend's id, and a signature over the tag: a client learns nothing of
 * the backend, and can make no cookie that is accepted. One that is well signed but names nobody here is of a backend that
 * left.
 */
export class BackendCookie {
  readonly #config: CookieConfig
  readonly #secrets: readonly string[]
  /** What is known to be right: by tag, for the backends of the pool. Written by `know`. */
  #known = new Map<string, { readonly backend: BackendState; readonly value: string }>()
  /** What binds a client to a backend, by the backend's id. Written by `know`. */
  readonly #lines = new Map<string, string>()

  constructor(config: CookieConfig) {
    this.#config = config
    this.#secrets = typeof config.secret === 'string' ? [config.secret] : config.secret
  }

  get name(): string {
    return this.#config.name
  }

  /** Must be called with the backends of the pool after each change of them. */
  know(backends: readonly BackendState[]): void {
    this.#known = new Map()
    this.#lines.clear()
    for (const backend of backends) {
      this.#secrets.forEach((secret, i) => {
        const tag = mac(secret, 'backend', backend.config.id).slice(0, tagChars)
        const value = `${tag}.${mac(secret, 'cookie', tag).slice(0, signatureChars)}`
        this.#known.set(tag, { backend, value })
        if (i === 0) this.#lines.set(backend.config.id, lineOf(this.#config, value))
      })
    }
  }

  /** Whom a value names; undefined if that one has left, null if it was not made by us. */
  read(value: string): BackendState | undefined | null {
    if (value.length !== tagChars + 1 + signatureChars || value[tagChars] !== '.') return null
    const tag = value.slice(0, tagChars)
    const known = this.#known.get(tag)
    if (known !== undefined) return isEqual(known.value, value) ? known.backend : null
    const signature = value.slice(tagChars + 1)
    const ours = this.#secrets.some((secret) => isEqual(mac(secret, 'cookie', tag).slice(0, signatureChars), signature))
    return ours ? undefined : null
  }

  /** The value of `Set-Cookie` that binds a client to this backend; undefined if that one has left. */
  write(backend: BackendState): string | undefined {
    return this.#lines.get(backend.config.id)
  }
}

/** As RFC 6265 section 4.1 has it. */
function lineOf({ name, path, maxAgeSeconds, secure, httpOnly, sameSite }: CookieConfig, value: string): string {
  const parts = [`${name}=${value}`, `Path=${path}`]
  if (maxAgeSeconds !== undefined) parts.push(`Max-Age=${maxAgeSeconds}`)
  if (httpOnly) parts.push('HttpOnly')
  if (secure) parts.push('Secure')
  parts.push(`SameSite=${sameSite[0]!.toUpperCase()}${sameSite.slice(1)}`)
  return parts.join('; ')
}

const mac = (secret: string, use: string, text: string): string =>
  createHmac('sha256', secret).update(`${use} ${text}`).digest('base64url')

// In a time that does not tell where they differ. Not of equal bytes: a value of other characters is none of ours.
function isEqual(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
