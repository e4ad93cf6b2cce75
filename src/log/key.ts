// The key that signs the checkpoints of an instance, kept beside its logs.
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { type Signer, signerOf } from './note.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, syncDir } from './segments.ts'

/**
 * The key of an instance, made at the first start. Whoever can write to the folder can also read the key, so that its
 * signatures prove something only to who has kept the verifier key, or checkpoints, elsewhere.
 */
export async function instanceKey(instanceDir: string, name: string): Promise<Signer> {
  const path = join(instanceDir, 'key')
  const kept = await orMissing(readFile(path, 'utf8'), undefined)
  if (kept === undefined) {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    await replaceFile(path, pem, 0o600)
    await syncDir(instanceDir)
    return signerOf(name, pem)
  }
  try {
    return signerOf(name, kept)
  } catch (error) {
    throw new BalancerError('sink-unavailable', `${path} holds no signing key: ${reasonOf(error)}`, { cause: error })
  }
}

/** Publishes the verifier key of a signer beside its logs. */
export async function publishVkey(instanceDir: string, signer: Signer, mode: number): Promise<void> {
  const path = join(instanceDir, 'vkey')
  const text = `${signer.vkey}\n`
  if ((await orMissing(readFile(path, 'utf8'), undefined)) === text) return
  await replaceFile(path, text, mode)
  await syncDir(instanceDir)
}
