// Signed notes and verifier keys, as C2SP signed-note defines them, with Ed25519 signatures (type 0x01).
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'

const ed25519 = 1
const idBytes = 4
const keyBytes = 32
const signatureBytes = 64
// A byte order mark is a part of the text: a decoder that drops it would accept what nobody signed.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Who may sign notes: a key under a name. The private key may be elsewhere. */
export interface Signer {
  readonly name: string
  /** The key for verifiers: `<name>+<key id, hex>+<base64 of 0x01 and the public key>`. */
  readonly vkey: string
  /** The Ed25519 signature of these bytes. */
  readonly sign: (text: Uint8Array) => Uint8Array | Promise<Uint8Array>
}

/** A signer whose private key is in memory. */
export interface KeySigner extends Signer {
  readonly key: KeyObject
}

/** A public key under a name. */
export interface Verifier {
  readonly name: string
  readonly id: Buffer
  readonly key: KeyObject
  /** Its one text form: two verifiers are the same if this is. */
  readonly vkey: string
}

const validName = (name: string): boolean => /^[^\s+]+$/u.test(name)

/** First 4 bytes of SHA-256 over name, 0x0A, 0x01 and public key: a hint that tells keys apart. */
const keyId = (name: string, raw: Buffer): Buffer =>
  hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ed25519]), raw]), 'buffer').subarray(0, idBytes)

// The last 32 bytes of an Ed25519 SubjectPublicKeyInfo are the key itself (RFC 8410 section 4).
const rawKey = (key: KeyObject): Buffer =>
  (key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' }).subarray(-keyBytes)

/** A signer from a private key, a KeyObject or PKCS #8 PEM. Throws when it is none, or not of Ed25519. */
export function signerOf(name: string, given: string | KeyObject): KeySigner {
  const key = typeof given === 'string' ? createPrivateKey(given) : given
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError(`expected an Ed25519 key, got ${key.asymmetricKeyType}`)
  return { name, key, vkey: vkeyOf(name, key), sign: (text) => sign(null, text, key) }
}

/** The verifier key of an Ed25519 key under a name. */
export function vkeyOf(name: string, key: KeyObject): string {
  if (!validName(name)) throw new TypeError(`expected a key name without spaces and +, got ${JSON.stringify(name)}`)
  const raw = rawKey(key)
  const body = Buffer.concat([Buffer.from([ed25519]), raw]).toString('base64')
  return `${name}+${keyId(name, raw).toString('hex')}+${body}`
}

/** A public Ed25519 key from PEM, a KeyObject, or its 32 bytes. Throws when it is none; a private one is none. */
export function publicKeyOf(given: string | Uint8Array | KeyObject): KeyObject {
  const isPrivate =
    typeof given === 'string' ? given.includes('PRIVATE KEY') : 'type' in given && given.type !== 'public'
  if (isPrivate) throw new TypeError('expected a public key')
  const key =
    given instanceof Uint8Array && given.length === keyBytes ? fromRaw(Buffer.from(given)) : parsePublic(given)
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError(`expected an Ed25519 key, got ${key.asymmetricKeyType}`)
  return key
}

const parsePublic = (given: string | Uint8Array | KeyObject): KeyObject =>
  typeof given === 'string'
    ? createPublicKey(given)
    : given instanceof Uint8Array
      ? createPublicKey(Buffer.from(given))
      : given

const fromRaw = (raw: Buffer): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' })

/** Reads a verifier key. Throws an error that names what is wrong with it. */
export function parseVkey(text: string): Verifier {
  const [, name, id, body] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text.trim()) ?? []
  if (name === undefined || id === undefined || body === undefined) {
    throw new TypeError('a verifier key has the form <name>+<8 hex digits>+<base64>')
  }
  const bytes = Buffer.from(body, 'base64')
  if (bytes[0] !== ed25519 || bytes.length !== 1 + keyBytes) {
    throw new TypeError(`the verifier key of ${name} is not an Ed25519 key`)
  }
  const raw = bytes.subarray(1)
  if (keyId(name, raw).toString('hex') !== id) throw new TypeError(`the verifier key of ${name} has a wrong key id`)
  return { name, id: Buffer.from(id, 'hex'), key: fromRaw(raw), vkey: `${name}+${id}+${bytes.toString('base64')}` }
}

/** Signs a text, which must end with a line end. */
export const signNote = (text: string, signer: KeySigner): string =>
  noteOf(text, signer, sign(null, Buffer.from(text), signer.key))

/** The note of a text and its signature. */
export function noteOf(text: string, { name, vkey }: Signer, signature: Uint8Array): string {
  const id = Buffer.from(vkey.slice(name.length + 1, name.length + 1 + 2 * idBytes), 'hex')
  return `${text}\n— ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`
}

/** Whether this is the signature of a text by the key of a signer. */
export const isSignature = (text: Uint8Array, { vkey }: Signer, signature: unknown): signature is Uint8Array =>
  signature instanceof Uint8Array &&
  signature.length === signatureBytes &&
  verify(null, text, parseVkey(vkey).key, signature)

/** The text of a note, whoever signed it; undefined if it is no note. */
export function textOfNote(note: string): string | undefined {
  const split = note.lastIndexOf('\n\n')
  return split < 0 ? undefined : note.slice(0, split + 1)
}

export type OpenedNote =
  | { readonly text: string; readonly signedBy: string; readonly verifier: Verifier }
  | {
      readonly fault: string
      readonly names: readonly string[]
      /** Whether nothing is wrong with it but that none of the keys signed it. */
      readonly unknown: boolean
    }

/**
 * The text of a note that one of these keys signed, or what is wrong with it and who claims to have signed. Signatures of
 * unknown keys are passed over; a wrong one of a known key refuses the note.
 */
export function openNote(note: Buffer, verifiers: readonly Verifier[]): OpenedNote {
  let decoded: string
  try {
    decoded = utf8.decode(note)
  } catch {
    return { fault: 'it is not UTF-8', names: [], unknown: false }
  }
  const text = textOfNote(decoded)
  if (text === undefined || !decoded.endsWith('\n')) {
    return { fault: 'it is not a signed note', names: [], unknown: false }
  }
  const names: string[] = []
  let by: Verifier | undefined
  for (const line of decoded.slice(text.length + 1, -1).split('\n')) {
    const [, name, body] = /^— ([^\s+]+) ([A-Za-z0-9+/]+=*)$/u.exec(line) ?? []
    const bytes = Buffer.from(body ?? '', 'base64')
    // Base64 of the same bytes has one form: another would be a change that no signature covers.
    if (name === undefined || bytes.toString('base64') !== body || bytes.length <= idBytes) {
      return { fault: 'it has a malformed signature line', names, unknown: false }
    }
    names.push(name)
    const verifier = verifiers.find((one) => one.name === name && one.id.equals(bytes.subarray(0, idBytes)))
    if (verifier === undefined) continue
    const signature = bytes.subarray(idBytes)
    if (signature.length !== signatureBytes || !verify(null, Buffer.from(text), verifier.key, signature)) {
      return { fault: `the signature of ${name} is wrong`, names, unknown: false }
    }
    by = verifier
  }
  if (by === undefined) return { fault: 'it is not signed by a known key', names, unknown: true }
  return { text, signedBy: by.name, verifier: by }
}
