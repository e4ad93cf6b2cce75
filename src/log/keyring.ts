// The keys of an instance: which one signs, and how it is handed on from one to the next.
import { generateKeyPairSync } from 'node:crypto'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError } from '../errors.ts'
import type { ActNote } from '../sink.ts'
import { makeKey, publishVkey, readKey, readVkey } from './key.ts'
import { type KeySigner, type Signer, signerOf, vkeyOf } from './note.ts'
import type { FileSinkConfig } from './options.ts'
import { orMissing, syncDir } from './segments.ts'
import type { Signing } from './signing.ts'

/** One key says that another signs from now on. */
export interface HandOver {
  readonly from: Signing
  readonly to: Signing
  /** `start`: the options name another key than before. `boot`: a key that lives as long as the process is certified. */
  readonly reason: 'requested' | 'start' | 'boot'
  /** What was said by whoever requested it. */
  readonly note?: ActNote
}

/** How a log that was signed by some key goes on. */
export interface Standing {
  /** Who signs it now; undefined as long as the key that shall is not certified. */
  readonly signing: Signing | undefined
  /** What follows once lines are taken, in this order. */
  readonly handOvers: readonly HandOver[]
}

export interface KeyringOptions {
  readonly dir: string
  /** The name of all its keys: `<service>/<instance>`. */
  readonly name: string
  readonly key: FileSinkConfig['key']
  readonly mode: number
  readonly signing: (signer: Signer) => Signing
}

const ownPath = (dir: string): string => join(dir, 'key')
/** A key that was made to replace the own one, until all logs are handed over to it. */
const nextPath = (dir: string): string => join(dir, 'key.next')

export class Keyring {
  private constructor(
    private readonly options: KeyringOptions,
    /** Who signs the checkpoints. Written by rotation. */
    private target: Signing,
    /** Who certifies the target, if it is not to be trusted by itself. */
    private readonly certifier: Signing | undefined,
    /** Keys beside the log that may have signed so far. */
    private readonly older: readonly Signing[],
    private readonly published: string | undefined,
  ) {}

  /** Who signs all logs; undefined while they are being handed over. */
  private settled: Signing | undefined

  static async open(options: KeyringOptions): Promise<Keyring> {
    const { dir, name, key, signing } = options
    const own = await readKey(ownPath(dir), name)
    const next = await readKey(nextPath(dir), name)
    const older = [own, next].flatMap((one) => (one === undefined ? [] : [signing(one)]))
    const published = (await readVkey(dir))?.trim()
    const ring = (target: Signer, certifier?: Signer) =>
      new Keyring(options, signing(target), certifier && signing(certifier), older, published)
    if (key === undefined) return ring(next ?? own ?? (await makeKey(ownPath(dir), name)))
    if ('file' in key) return ring(await keyIn(key.file, name))
    const given = { name, vkey: vkeyOf(name, key.publicKey), sign: key.sign }
    return key.certify ? ring(bootKey(name), given) : ring(given)
  }

  /** Who signs the first checkpoint of a log. */
  get first(): Signing {
    return this.certifier ?? this.target
  }

  /** Verifier keys of all that may have signed. */
  get known(): readonly string[] {
    const keys = [this.target, this.certifier, ...this.older].flatMap((one) => one?.vkey ?? [])
    return this.published === undefined ? keys : [...keys, this.published]
  }

  /** Undefined if the key that signs a log so far cannot hand it on. `certifiedBy` is who handed it to that key. */
  standing(current: string, certifiedBy: string | undefined): Standing | undefined {
    const { target, certifier } = this
    const boot = certifier === undefined ? [] : [{ from: certifier, to: target, reason: 'boot' } as const]
    if (current === target.vkey) return { signing: target, handOvers: [] }
    if (certifier !== undefined && (current === certifier.vkey || certifiedBy === certifier.vkey)) {
      return { signing: undefined, handOvers: boot }
    }
    const signing = this.older.find(({ vkey }) => vkey === current)
    const start = { to: this.first, reason: 'start' } as const
    return signing && { signing, handOvers: [{ from: signing, ...start }, ...boot] }
  }

  /** Publishes a verifier key where there is none, as long as the logs are not all signed by the target. */
  async publish(): Promise<void> {
    if (this.published === undefined) await publishVkey(this.options.dir, this.first.vkey, this.options.mode)
  }

  /** Publishes the verifier key again, if it is not there any more. */
  async republish(): Promise<void> {
    if ((await readVkey(this.options.dir)) !== undefined || this.settled === undefined) return
    await publishVkey(this.options.dir, this.settled.vkey, this.options.mode)
  }

  /** Makes the key that shall follow. Throws `config-invalid` if there is none. */
  async following(): Promise<HandOver> {
    const { dir, name, key, signing } = this.options
    const reason = 'requested'
    if (this.certifier !== undefined) return { from: this.certifier, to: signing(bootKey(name)), reason }
    if (key === undefined) {
      // One that is there has been handed some of the logs before that failed.
      const path = nextPath(dir)
      return { from: this.target, to: signing((await readKey(path, name)) ?? (await makeKey(path, name))), reason }
    }
    if (!('file' in key)) throw new BalancerError('config-invalid', 'rotateKey: the key is not in a file')
    const to = await keyIn(key.file, name)
    if (to.vkey !== this.target.vkey) return { from: this.target, to: signing(to), reason }
    throw new BalancerError('config-invalid', `rotateKey: ${key.file} holds the key that is in use`)
  }

  /** Forgets the key that should follow: no log was handed over to it. */
  async withdraw(): Promise<void> {
    if (this.options.key === undefined) await orMissing(unlink(nextPath(this.options.dir)), undefined)
  }

  /**
   * Called once all logs are signed by `target`. A crash on the way leaves what the next start goes on from: a key is deleted
   * only when it has signed its last, and the verifier key is published last.
   */
  async settle(target = this.target): Promise<void> {
    this.target = target
    this.settled = target
    const { dir, key, mode } = this.options
    if (key === undefined) await orMissing(rename(nextPath(dir), ownPath(dir)), undefined)
    else for (const path of [ownPath(dir), nextPath(dir)]) await orMissing(unlink(path), undefined)
    await syncDir(dir)
    await publishVkey(dir, target.vkey, mode)
  }
}

async function keyIn(path: string, name: string): Promise<KeySigner> {
  const key = await readKey(path, name)
  if (key === undefined) throw new BalancerError('sink-unavailable', `there is no key ${path}`)
  return key
}

const bootKey = (name: string): KeySigner => signerOf(name, generateKeyPairSync('ed25519').privateKey)
