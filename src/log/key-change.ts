// Hands the logs of an instance from one key to the next, one log after the other.
import { afterTurn, type Clock } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { ActNote } from '../sink.ts'
import type { HandOver, Keyring } from './keyring.ts'
import type { LogWriter } from './writer.ts'

/** When a hand-over whose line was not taken is tried again. */
const retryMs = 1000

export class KeyChange {
  /** One change at a time. */
  private last: Promise<unknown> = Promise.resolve()
  private stopped = false

  constructor(
    private readonly keys: Keyring,
    private readonly writers: readonly LogWriter[],
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Does what the keys at the start ask for, once the caller knows that the logs are open. By the name of the log. */
  async start(due: ReadonlyMap<LogWriter, readonly HandOver[]>): Promise<void> {
    if ([...due.values()].every((one) => one.length === 0)) return this.keys.settle()
    await this.keys.publish()
    const opened = new Promise<void>((resolve) => afterTurn(resolve))
    this.last = opened
      .then(() => this.hand(due))
      .catch((error: unknown) => {
        if (!this.stopped) this.logger.error({ error: reasonOf(error) }, 'the key of the log cannot be changed')
      })
  }

  /** Makes the logs be signed by a new key. Rejects if that is not possible now; what is left then is done at the next start. */
  rotate(note: ActNote): Promise<{ readonly from: string; readonly to: string }> {
    const changed = this.last.then(() => this.rotateNow(note))
    this.last = changed.catch(() => {})
    return changed
  }

  stop(): void {
    this.stopped = true
  }

  private async hand(due: ReadonlyMap<LogWriter, readonly HandOver[]>): Promise<void> {
    for (const [writer, handOvers] of due) {
      for (const next of handOvers) {
        while (!(await writer.handOver(next))) {
          if (this.stopped) return
          await new Promise<void>((resolve) => this.clock.after(retryMs, resolve))
        }
      }
    }
    await this.keys.settle()
  }

  private async rotateNow(note: ActNote): Promise<{ from: string; to: string }> {
    const next = { ...(await this.keys.following()), note }
    let handed = 0
    for (const writer of this.writers) {
      if (!(await writer.handOver(next))) {
        if (handed === 0) await this.keys.withdraw()
        throw new BalancerError('audit-unavailable', 'rotateKey: the log does not take the line that names the new key')
      }
      handed++
    }
    await this.keys.settle(next.to)
    return { from: next.from.vkey, to: next.to.vkey }
  }
}
