// Cosignatures: what a witness signs of a checkpoint, as C2SP tlog-cosignature defines them, with Ed25519 (type 0x04).
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import type { Verifier } from './note.ts'

const noteType = 1
const cosignatureType = 4
const idBytes = 4
const keyBytes = 32
const timeBytes = 8
const signatureBytes = 64
// A time that is later than any clock shows is a mistake, or a trick of whoever wants to be the newest.
const mostSeconds = 2n ** 53n

/** Whoever cosigns: a key under a name. The same key signs what the witness states of the lines that it holds, as ordinary notes. */
export interface Cosigner {
  readonly name: string
  /** For cosignatures: `<name>+<key id, hex>+<base64 of 0x04 and the public key>`. */
  readonly vkey: string
  /** The Ed25519 signature of a message. */
  sign(message: Buffer): Buffer | Promise<Buffer>
}

/** The public side of a cosigner. */
export interface WitnessKey {
  readonly name: string
  readonly id: Buffer
  readonly key: KeyObject
  /** Its one text form. */
  readonly vkey: string
  /** The same key as that of ordinary notes. */
  readonly notes: Verifier
}

const validName = (name: string): boolean => /^[^\s+]+$/u.test(name)

const keyId = (name: string, type: number, raw: Buffer): Buffer =>
  hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([type]), raw]), 'buffer').subarray(0, idBytes)

// The last 32 bytes of an Ed25519 SubjectPublicKeyInfo are the key itself (RFC 8410 section 4).
const rawOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-keyBytes)

/** Throws for a key that is not of Ed25519, and for a name with spaces or a +. */
export function cosignerOf(name: string, publicKey: KeyObject, sign: Cosigner['sign']): Cosigner {
  if (publicKey.asymmetricKeyType !== 'ed25519')
    throw new TypeError(`expected an Ed25519 key, got ${publicKey.asymmetricKeyType}`)
  if (!validName(name)) throw new TypeError(`expected a key name without spaces and +, got ${JSON.stringify(name)}`)
  const raw = rawOf(publicKey)
  const body = Buffer.concat([Buffer.from([cosignatureType]), raw]).toString('base64')
  return { name, vkey: `${name}+${keyId(name, cosignatureType, raw).toString('hex')}+${body}`, sign }
}

/** Whether a verifier key is that of a witness. */
export const isWitnessKey = (text: string): boolean => {
  const body = /^[^\s+]+\+[0-9a-f]{8}\+([A-Za-z0-9+/]+=*)$/u.exec(text.trim())?.[1]
  return body !== undefined && Buffer.from(body, 'base64')[0] === cosignatureType
}

/** Reads the verifier key of a witness. Throws an error that names what is wrong with it. */
export function parseWitnessKey(text: string): WitnessKey {
  const [, name, id, body] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text.trim()) ?? []
  if (name === undefined || id === undefined || body === undefined) {
    throw new TypeError('the verifier key of a witness has the form <name>+<8 hex digits>+<base64>')
  }
  const bytes = Buffer.from(body, 'base64')
  if (bytes[0] !== cosignatureType || bytes.length !== 1 + keyBytes) {
    throw new TypeError(`the verifier key of ${name} is not one for Ed25519 cosignatures`)
  }
  const raw = bytes.subarray(1)
  if (keyId(name, cosignatureType, raw).toString('hex') !== id) {
    throw new TypeError(`the verifier key of ${name} has a wrong key id`)
  }
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const noteId = keyId(name, noteType, raw)
  const vkey = `${name}+${noteId.toString('hex')}+${Buffer.concat([Buffer.from([noteType]), raw]).toString('base64')}`
  return {
    name,
    id: Buffer.from(id, 'hex'),
    key,
    vkey: `${name}+${id}+${bytes.toString('base64')}`,
    notes: { name, id: noteId, key, vkey },
  }
}

const cosigned = (seconds: bigint | number, text: string): Buffer =>
  Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`)

const signatureLine = (name: string, ...parts: readonly Uint8Array[]): string =>
  `— ${name} ${Buffer.concat(parts).toString('base64')}\n`

/** The cosignature line of a checkpoint; `text` is the body of its note, `seconds` the time since the epoch. */
export async function cosign(text: string, seconds: number, { name, vkey, sign }: Cosigner): Promise<string> {
  const time = Buffer.alloc(timeBytes)
  time.writeBigUInt64BE(BigInt(seconds))
  const signature = await sign(cosigned(seconds, text))
  return signatureLine(name, Buffer.from(vkey.split('+')[1]!, 'hex'), time, signature)
}

/** A signed note (type 0x01) of the same key. Its text must not begin as a cosigned message does. */
export async function signAsWitness(text: string, { name, vkey, sign }: Cosigner): Promise<string> {
  const { notes } = parseWitnessKey(vkey)
  return `${text}\n${signatureLine(name, notes.id, await sign(Buffer.from(text)))}`
}

/** When a witness cosigned a note, in seconds since the epoch; undefined if there is no valid cosignature of its key. */
export function cosignedAt(note: string, witness: WitnessKey): number | undefined {
  const split = note.lastIndexOf('\n\n')
  if (split < 0) return undefined
  const text = note.slice(0, split + 1)
  let latest: number | undefined
  for (const line of note.slice(split + 2).split('\n')) {
    const [, name, body] = /^— ([^\s+]+) ([A-Za-z0-9+/]+=*)$/u.exec(line) ?? []
    if (name !== witness.name || body === undefined) continue
    const bytes = Buffer.from(body, 'base64')
    if (bytes.length !== idBytes + timeBytes + signatureBytes || bytes.toString('base64') !== body) continue
    if (!witness.id.equals(bytes.subarray(0, idBytes))) continue
    const seconds = bytes.readBigUInt64BE(idBytes)
    if (seconds >= mostSeconds) continue
    if (!verify(null, cosigned(seconds, text), witness.key, bytes.subarray(idBytes + timeBytes))) continue
    latest = Math.max(latest ?? 0, Number(seconds))
  }
  return latest
}
