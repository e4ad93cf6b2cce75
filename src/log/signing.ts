// Makes signed notes by a key that may be elsewhere: it never waits without end, and hands out nothing that does not verify.
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import { isSignature, type KeySigner, noteOf, type Signer } from './note.ts'

const timeoutMs = 10_000

/** Is told when signing begins to fail, with the reason, and when it is well again, without one. */
export type OnSigning = (fault: string | undefined) => void

/** One signer, for all the logs of an instance. */
export class Signing {
  private failing = false

  constructor(
    private readonly signer: Signer | KeySigner,
    private readonly clock: Clock,
    private readonly onChange: OnSigning,
  ) {}

  /** The key for verifiers. */
  get vkey(): string {
    return this.signer.vkey
  }

  /** The signed note of a text: at once where the private key is in memory. Rejects with what went wrong. */
  sign(text: string): string | Promise<string> {
    const { signer } = this
    if ('key' in signer) return noteOf(text, signer, signer.sign(Buffer.from(text)) as Uint8Array)
    return this.ask(text).then(
      (note) => {
        if (this.failing) this.onChange(undefined)
        this.failing = false
        return note
      },
      (error: unknown) => {
        if (!this.failing) this.onChange(reasonOf(error))
        this.failing = true
        throw error
      },
    )
  }

  // The function is somebody else's: it may throw, hang, or return anything, and change the bytes that it gets.
  private ask(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`the key did not sign within ${timeoutMs / 1000} s`))
      const timer = this.clock.after(timeoutMs, late)
      const signed = (signature: unknown) => {
        if (!isSignature(Buffer.from(text), this.signer, signature)) {
          throw new Error('what the key returned is not its signature')
        }
        return noteOf(text, this.signer, signature)
      }
      const asked = new Promise<unknown>((done) => done(this.signer.sign(Buffer.from(text))))
      asked
        .then(signed)
        .then(resolve, reject)
        .finally(() => timer.cancel())
    })
  }
}
