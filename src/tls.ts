// TLS to backends: what their certificates are verified by, what this side shows of itself, and how records tell it.
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { inspect } from 'node:util'
import { z } from 'zod'
import type { Json } from './canonical.ts'
import { reasonOf } from './errors.ts'
import { Told } from './refused.ts'
import { fingerprint, type Telling, withoutKey } from './secret.ts'

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'expected a Buffer')

/** Its own rules say what is wrong: what was given may be a key, which such a fault does not show. */
const pem = z
  .union([z.string(), bytes.transform((given) => Buffer.from(given).toString('latin1'))], {
    error: 'expected PEM, as text or as a Buffer',
  })
  .refine((text) => text.includes('-----BEGIN '), {
    error: 'expected PEM, which begins with -----BEGIN',
    abort: true,
  })
const pems = z
  .union([pem, z.array(pem).min(1)], { error: 'expected PEM, or a list of it' })
  .transform((given): readonly string[] => (typeof given === 'string' ? [given] : given))

const given = z.strictObject({
  /** The authorities that are trusted in the place of those that Node knows. PEM as text or Buffer, or a list. */
  ca: pems.optional(),
  /** The certificate that this side shows, with its chain (mTLS). PEM. */
  cert: pems.optional(),
  /** The private key of `cert`. PEM. */
  key: pems.optional(),
  /** What `key` or `pfx` is encrypted with. */
  passphrase: z.string().min(1).optional(),
  /** `cert` and `key` in one, as PKCS #12. */
  pfx: bytes.transform((data) => Buffer.from(data)).optional(),
  /** The lowest version that is spoken. Default `TLSv1.2`. */
  minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).optional(),
  /** The ciphers, in the words of OpenSSL. Default Node's. */
  ciphers: z.string().min(1).optional(),
  /** Whether a certificate that does not verify is refused. Default true. Without that anybody can pose as the backend. */
  rejectUnauthorized: z.boolean().optional(),
})
type Given = z.output<typeof given>

/** The settings of TLS, as they were given. It tells no secret when it is printed or becomes JSON. */
export class TlsSettings {
  declare readonly ca?: readonly string[]
  declare readonly cert?: readonly string[]
  declare readonly key?: readonly string[]
  declare readonly passphrase?: string
  declare readonly pfx?: Buffer<ArrayBuffer>
  declare readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  declare readonly ciphers?: string
  declare readonly rejectUnauthorized?: boolean

  constructor(members: Given) {
    for (const [name, value] of Object.entries(members))
      if (value !== undefined) Object.defineProperty(this, name, { value, enumerable: true })
    Object.freeze(this)
  }

  toJSON(): Json {
    return describeTls(this, withoutKey)
  }

  [inspect.custom](): Json {
    return describeTls(this, withoutKey)
  }
}

export const tlsSchema = given
  .superRefine((members, context) => {
    for (const [path, message] of faultsIn(members)) context.addIssue({ code: 'custom', path: [path], message })
  })
  .transform((members) => new TlsSettings(members))

/** The parts of an identity: what stands in one place replaces all of them elsewhere. */
const identity = ['cert', 'key', 'passphrase', 'pfx'] as const

function faultsIn({ ca = [], cert, key, passphrase, pfx, ciphers }: Given): [keyof Given, string][] {
  const faults: [keyof Given, string][] = []
  if (cert === undefined && key !== undefined) faults.push(['cert', 'expected the certificate of `key`'])
  if (key === undefined && cert !== undefined) faults.push(['key', 'expected the key of `cert`'])
  if (pfx !== undefined && (cert ?? key) !== undefined) faults.push(['pfx', 'not together with `cert` and `key`'])
  if (passphrase !== undefined && key === undefined && pfx === undefined)
    faults.push(['passphrase', 'not without `key` or `pfx`'])
  const tried = (path: keyof Given, what: string, act: () => void): void => {
    try {
      act()
    } catch (error) {
      faults.push([path, `expected ${what}, got what OpenSSL refuses (${reasonOf(error)})`])
    }
  }
  tried('ca', 'certificates', () => ca.flatMap(blocksOf).forEach((block) => void new X509Certificate(block)))
  if (ciphers !== undefined) tried('ciphers', 'ciphers', () => createSecureContext({ ciphers }))
  if (faults.length > 0) return faults
  const unlocked = passphrase === undefined ? {} : { passphrase }
  if (key !== undefined && cert !== undefined)
    tried('key', 'the key of `cert`', () => createSecureContext({ key: [...key], cert: [...cert], ...unlocked }))
  if (pfx !== undefined) tried('pfx', 'PKCS #12', () => createSecureContext({ pfx, ...unlocked }))
  return faults
}

// OpenSSL passes over what is no certificate, and then trusts nobody.
const blocksOf = (text: string): readonly string[] =>
  text.match(/-----BEGIN [^-]+-----[\s\S]*?-----END [^-]+-----/g) ?? [text]

/** The settings for one backend: its own before those of the pool, member by member, and an identity as a whole. */
export function tlsOf(pool: TlsSettings | undefined, own: TlsSettings | undefined): TlsSettings | undefined {
  if (pool === undefined || own === undefined) return own ?? pool
  const members: Given = { ...pool }
  if (identity.some((name) => own[name] !== undefined)) for (const name of identity) delete members[name]
  return new TlsSettings({ ...members, ...own } as Given)
}

/** What is no secret. All else is withheld, also what is no option. */
const open: ReadonlySet<string> = new Set(['ciphers', 'minVersion', 'rejectUnauthorized'])
/** What everybody who connects gets to see, unless somebody has put a key into it. */
const shown: ReadonlySet<string> = new Set(['ca', 'cert'])

/** Settings of TLS, or what was given for them, as records tell them: equal for what is equal. */
export function describeTls(value: unknown, telling: Telling): Json {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || Array.isArray(value))
    return hidden(value, telling.secret)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(
    members.map(([name, member]): [string, Json] => [
      name.slice(0, 128).toWellFormed(),
      open.has(name) && (typeof member === 'string' || typeof member === 'boolean')
        ? typeof member === 'string'
          ? member.slice(0, 1024).toWellFormed()
          : member
        : hidden(member, shown.has(name) ? (given) => certificate(given, telling) : telling.secret),
    ]),
  )
}

function certificate(given: string | Uint8Array, telling: Telling): Json {
  const text = typeof given === 'string' ? given : Buffer.from(given).toString('latin1')
  const isPublic = text.includes('-----BEGIN ') && !text.includes('PRIVATE')
  return isPublic ? { fingerprint: fingerprint(text), length: text.length } : telling.secret(given)
}

function hidden(value: unknown, tell: (given: string | Uint8Array) => Json): Json {
  if (value === null) return null
  if (value instanceof Told) return value.json
  if (typeof value === 'string' || value instanceof Uint8Array) return tell(value)
  return Array.isArray(value) ? value.slice(0, 64).map((one) => hidden(one, tell)) : `[${typeof value}]`
}
