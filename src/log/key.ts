// Private keys in files, and the verifier key that is published beside the logs.
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { type KeySigner, signerOf } from './note.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, syncDir } from './segments.ts'

/** The key of a file, under this name; undefined if there is no such file. Throws `sink-unavailable` if it holds none. */
export async function readKey(path: string, name: string): Promise<KeySigner | undefined> {
  const pem = await orMissing(readFile(path, 'utf8'), undefined)
  if (pem === undefined) return undefined
  try {
    return signerOf(name, pem)
  } catch (error) {
    throw new BalancerError('sink-unavailable', `${path} holds no signing key: ${reasonOf(error)}`, { cause: error })
  }
}

/** The key of a file that must be there. Throws `config-invalid`. */
export function keyOfFile(path: string, name: string): KeySigner {
  try {
    return signerOf(name, readFileSync(path, 'utf8'))
  } catch (error) {
    throw new BalancerError('config-invalid', `${path} holds no signing key: ${reasonOf(error)}`, { cause: error })
  }
}

/** Makes a key, and keeps it in a file that only its owner can read. */
export async function makeKey(path: string, name: string): Promise<KeySigner> {
  const { privateKey } = generateKeyPairSync('ed25519')
  await replaceFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600)
  await syncDir(dirname(path))
  return signerOf(name, privateKey)
}

const vkeyPath = (instanceDir: string): string => join(instanceDir, 'vkey')

/** The verifier key as it is published. */
export const readVkey = (instanceDir: string): Promise<string | undefined> =>
  orMissing(readFile(vkeyPath(instanceDir), 'utf8'), undefined)

/** Publishes a verifier key beside the logs. */
export async function publishVkey(instanceDir: string, vkey: string, mode: number): Promise<void> {
  const text = `${vkey}\n`
  if ((await readVkey(instanceDir)) === text) return
  await replaceFile(vkeyPath(instanceDir), text, mode)
  await syncDir(instanceDir)
}
