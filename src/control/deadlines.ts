// Drain deadlines: when one is reached, its backend is disabled by a revision of its own.
import type { Clock, Timer } from '../clock.ts'
import type { Revisions } from './revisions.ts'
import { type Deadline, disabled, type PoolPart, type Standings } from './standing.ts'

export interface DeadlinesOptions<C extends PoolPart> {
  readonly clock: Clock
  readonly revisions: Revisions<C>
}

interface Running {
  readonly deadline: Deadline
  readonly timer: Timer
  /** Resolves once it was reached and what follows from that is done; never if it was lifted before. */
  readonly over: Promise<void>
}

export class Deadlines<C extends PoolPart> {
  readonly #options: DeadlinesOptions<C>
  readonly #running = new Map<string, Running>()

  constructor(options: DeadlinesOptions<C>) {
    this.#options = options
  }

  /** Must be called with each configuration that is put in force. What it does not hold any more is lifted. */
  apply({ deadlines }: Standings): void {
    for (const [id, { deadline, timer }] of this.#running) {
      if (deadlines.get(id) === deadline) continue
      timer.cancel()
      this.#running.delete(id)
    }
    for (const [id, deadline] of deadlines) if (!this.#running.has(id)) this.#running.set(id, this.#start(id, deadline))
  }

  /** Resolves once the deadline that this backend has now was reached and acted on; undefined if it has none. */
  over(id: string): Promise<void> | undefined {
    return this.#running.get(id)?.over
  }

  close(): void {
    for (const { timer } of this.#running.values()) timer.cancel()
    this.#running.clear()
  }

  #start(id: string, deadline: Deadline): Running {
    const { clock } = this.#options
    let timer: Timer | undefined
    const reached = new Promise<void>((resolve) => {
      timer = clock.after(deadline.ms, resolve)
    })
    return { deadline, timer: timer!, over: reached.then(() => this.#disable(id, deadline)) }
  }

  // By the actor who set it, with its rights as they are now. What stops it is recorded like any change that is refused.
  async #disable(id: string, deadline: Deadline): Promise<void> {
    const { actor, note, ms } = deadline
    const reason = `the drain deadline of ${ms} ms was reached`
    const message = note.message === undefined ? reason : `${reason}: ${note.message}`
    // It may be lifted by a change that is under way.
    const edit = (config: C): C => (config.deadlines.get(id) === deadline ? disabled(config, id) : config)
    const request = { type: 'disable', backend: id, attempted: { id } } as const
    await this.#options.revisions.change(actor, request, { ...note, message }, edit, 'deadline').catch(() => undefined)
  }
}
