// Secrets: how a record shows that there is one without telling it, and how two of them are compared all the same.
import { createHash, createHmac, hash, scryptSync } from 'node:crypto'
import type { Json } from './canonical.ts'

/** The shortest key, in bytes: what is shorter can be guessed, and with it every value. */
export const leastKeyBytes = 16

/** A key under which values that are not told can be matched. Shows nothing of itself when it is printed or becomes JSON. */
export class SecretKey {
  readonly #bytes: Buffer
  /** Tells keys apart, so that one that was changed is seen: 32 bits that are made by the key and say nothing of it. */
  readonly id: string

  constructor(key: string | Uint8Array) {
    this.#bytes = Buffer.from(key as string)
    this.id = this.#mac('auditlb key id', 'utf8').slice(0, 8)
  }

  /** HMAC-SHA-256 of the value, its first 128 bits. `encoding` says which bytes a text stands for. */
  hmac(value: string | Uint8Array, encoding: 'utf8' | 'latin1' = 'utf8'): string {
    return `${this.id}:${this.#mac(value, encoding).slice(0, 32)}`
  }

  #mac(value: string | Uint8Array, encoding: 'utf8' | 'latin1'): string {
    const mac = createHmac('sha256', this.#bytes)
    return (typeof value === 'string' ? mac.update(value, encoding) : mac.update(value)).digest('hex')
  }
}

/** How records tell a configuration. */
export interface Telling {
  /** What is withheld. */
  secret(value: string | Uint8Array): Json
  /** What is told: but for passwords, and values of a query, in a URL. */
  text(value: string): Json
}

/** Where there is no key, and nothing is known of which values of a query are told. */
export const withoutKey: Telling = {
  secret: (value) => withheld(value),
  text: (value) => withoutUserinfo(value),
}

/** What a secret of the configuration is, by what records have in its place: compared by, and never told. */
const meant = new WeakMap<object, string>()

/**
 * A secret of the configuration as records hold it. Without a key only its length is told: any hash could be tried out.
 * `shown` is what may be told of it.
 */
export function withheld(secret: string | Uint8Array, key?: SecretKey, shown?: string): Json {
  const text = shown === undefined ? {} : { text: shown }
  if (key !== undefined) return { hmac: key.hmac(secret), length: secret.length, ...text }
  const told = { length: secret.length, ...text }
  meant.set(told, typeof secret === 'string' ? secret : Buffer.from(secret).toString('latin1'))
  return told
}

/** Whether two parts of records are equal, and the secrets that are withheld in them too. */
export function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b) || meant.get(a) !== meant.get(b)) return false
  const [one, other] = [Object.entries(a), b as { readonly [key: string]: Json | undefined }]
  return (
    one.length === Object.keys(other).length &&
    one.every(([key, member]) => Object.hasOwn(other, key) && isSame(member, other[key]))
  )
}

/** Whether a part of a record stands for a secret, and is compared as a whole. */
export const isWithheld = (value: Json | undefined): boolean =>
  typeof value === 'object' && value !== null && meant.has(value)

/** The secrets that a record withholds without a key, in the order of canonical JSON. */
function secretsIn(value: Json | undefined): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  const own = meant.get(value)
  if (own !== undefined) return [own]
  if (Array.isArray(value)) return value.flatMap(secretsIn)
  const members = value as { readonly [key: string]: Json | undefined }
  return Object.keys(members)
    .sort()
    .flatMap((key) => secretsIn(members[key]))
}

/** Recent results: a configuration is hashed again with each change, its secrets seldom. */
const stretched = new Map<string, string>()
const mostStretched = 16

/**
 * What stands for all secrets in the hash of a record; empty where it withholds none. It is the same on every node, and so
 * whoever has the log could try secrets out: scrypt (RFC 7914; N = 2^14, r = 8, p = 1, which takes 16 MiB) makes each try dear.
 */
export function secretsDigest(record: Json): string {
  const secrets = secretsIn(record)
  if (secrets.length === 0) return ''
  const of = createHash('sha256').update(JSON.stringify(secrets)).digest('base64')
  const known = stretched.get(of)
  if (known !== undefined) return known
  const made = scryptSync(of, 'auditlb configuration', 32, { N: 16_384, r: 8, p: 1 }).toString('hex')
  if (stretched.size >= mostStretched) stretched.clear()
  stretched.set(of, made)
  return made
}

/** Members whose values are secrets, also where no option of ours has such a name. */
export const isSecretName = (name: string): boolean =>
  /secret|passw|passphrase|token|api_?-?key|authorization|credential|private/i.test(name)

/** What stands for what is public, such as a certificate: equal for equal text. */
export const fingerprint = (text: string): string => `sha256:${hash('sha256', text, 'hex').slice(0, 32)}`

// As text, or with its characters escaped as in a URL, once or more often. What ends the authority of a URL ends the search
// too, so that the time is linear.
const userinfo =
  /(:|%(?:25)*3a)((?:[/\\]|%(?:25)*(?:2f|5c)){2})(?:(?!%(?:25)*(?:2f|3f|23|5c|20))[^/\\?#\s"'<>])*(?:@|%(?:25)*40)/gi

/** The text without user and password in any URL that it holds (RFC 3986 section 3.2.1). Linear in the length of the text. */
export function withoutUserinfo(text: string): string {
  if (!text.includes('@') && !text.includes('40')) return text
  return text.replace(userinfo, '$1$2')
}

// The same without its end.
const openUserinfo = /(?::|%(?:25)*3a)(?:[/\\]|%(?:25)*(?:2f|5c)){2}(?:(?!%(?:25)*(?:2f|3f|23|5c|20))[^/\\?#\s"'<>])*$/i

/** What was cut off a longer text, without a URL at its end whose user and password may go on behind the cut. */
export function beginning(cut: string): string {
  const end = cut.search(openUserinfo)
  return end === -1 ? cut : cut.slice(0, end)
}
