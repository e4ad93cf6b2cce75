// The key that a witness cosigns with.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { type Cosigner, cosignerOf } from '../log/cosignature.ts'
import { replaceFile } from '../log/replace-file.ts'
import { orMissing, syncDir } from '../log/segments.ts'

/** Where the key is: in a file (PKCS #8 PEM), or wherever a function signs with it. */
export type WitnessKeyOption =
  | { readonly file: string }
  | {
      /** Ed25519, as PEM or as a KeyObject. */
      readonly publicKey: string | KeyObject
      /** Returns the Ed25519 signature of the message, 64 bytes. */
      readonly sign: (message: Uint8Array) => Uint8Array | Promise<Uint8Array>
    }

const signatureBytes = 64

/** Without an option the key is `DIR/witness.key`, made at the first start with mode 0600. Throws `sink-unavailable`. */
export async function openKey(dir: string, name: string, option: WitnessKeyOption | undefined): Promise<Cosigner> {
  try {
    if (option !== undefined && 'sign' in option) return external(name, option)
    const path = option?.file ?? join(dir, 'witness.key')
    const kept = await orMissing(readFile(path, 'utf8'), undefined)
    return fromPem(name, kept ?? (await made(path)))
  } catch (error) {
    throw new BalancerError('sink-unavailable', `the key of the witness: ${reasonOf(error)}`, { cause: error })
  }
}

function external(name: string, { publicKey, sign }: Extract<WitnessKeyOption, { sign: unknown }>): Cosigner {
  const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey
  return cosignerOf(name, key, async (message) => {
    const signature = Buffer.from(await sign(message))
    if (signature.length !== signatureBytes) throw new TypeError(`expected a signature of ${signatureBytes} bytes`)
    return signature
  })
}

function fromPem(name: string, pem: string): Cosigner {
  const key = createPrivateKey(pem)
  return cosignerOf(name, createPublicKey(key), (message) => sign(null, message, key))
}

async function made(path: string): Promise<string> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await replaceFile(path, pem, 0o600)
  await syncDir(join(path, '..'))
  return pem
}
