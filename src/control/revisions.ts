// Revisions: every configuration that was in force has a number and a hash, and every change of it an actor.
import { hash } from 'node:crypto'
import { canonical, type Json } from '../canonical.ts'
import type { Clock } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { Actor } from '../event-parts.ts'
import type { Emit, EventFields, Ticket } from '../events.ts'
import { recordedOf } from '../parse.ts'
import { secretsDigest } from '../secret.ts'
import { type Authorize, type ChangeRequest, requireRight } from './authorize.ts'
import { difference } from './diff.ts'

type Members = { readonly [key: string]: Json | undefined }

/** A configuration in force. Immutable. */
export interface Revision<C> {
  readonly number: number
  /**
   * SHA-256 as hex, of the canonical record and what stands for the secrets in it: equal on all nodes that have the same
   * configuration, and the same `redact.key` if there is one.
   */
  readonly hash: string
  readonly config: C
  /** The configuration as records hold it: backends by id, functions by name, no secrets. */
  readonly record: Members
}

/** What an actor may say with a change. */
export interface ChangeNote {
  /** Why. Recorded. */
  readonly message?: string
  /** The ticket that asked for it. Recorded. */
  readonly ticket?: string
  /** Makes the change also when it cannot be recorded now; it is recorded as soon as it can be. Default false. */
  readonly breakGlass?: boolean
}

export interface RevisionsOptions<C> {
  readonly initial: C
  readonly describe: (config: C) => Members
  readonly authorize: Authorize | undefined
  readonly clock: Clock
  /** Whether two configurations behave alike if their records are equal: functions are recorded by name only. */
  readonly alike: (a: C, b: C) => boolean
  readonly emit: Emit
  /** Whether the balancer is closing or closed: nothing is changed any more. */
  readonly closed: () => boolean
  /** Why changes cannot be recorded now; undefined if they can. */
  readonly obstacle: () => string | undefined
  /** Resolves once the line is durable, rejects if it is lost or that takes too long. */
  readonly durable: (ticket: Ticket) => Promise<void>
  /** Puts a configuration in force. Must not throw. */
  readonly apply: (config: C) => void
}

export class Revisions<C> {
  readonly #options: RevisionsOptions<C>
  #current: Revision<C>
  /** Changes run one after the other, so that each one's `before` is what the last one left. */
  #tail: Promise<unknown> = Promise.resolve()

  constructor(options: RevisionsOptions<C>) {
    this.#options = options
    this.#current = revisionOf(1, options.initial, options.describe(options.initial))
  }

  get current(): Revision<C> {
    return this.#current
  }

  /**
   * Makes one change: asks for the right, builds the new configuration by `edit`, records it durably, puts it in force,
   * and resolves with the revision. A change that alters nothing makes no revision. Whatever stops it is recorded as
   * `config.rejected`, a missing right as `access.denied` too, and rejects.
   */
  change(
    actor: Actor,
    request: ChangeRequest,
    note: ChangeNote,
    edit: (config: C) => C,
    source: Source = 'api',
  ): Promise<Revision<C>> {
    const run = this.#tail.then(() => this.#change(actor, request, noteFields(note, source), edit))
    this.#tail = run.catch(() => undefined)
    return run
  }

  async #change(actor: Actor, request: ChangeRequest, said: Said, edit: (config: C) => C): Promise<Revision<C>> {
    const { authorize, clock, closed } = this.#options
    let next: Revision<C>
    try {
      if (!closed()) await requireRight(authorize, actor, request, clock)
      // It may have been closed while the right was asked for.
      if (closed()) throw new BalancerError('closed', 'no change can be made any more')
      const config = edit(this.#current.config)
      next = revisionOf(this.#current.number + 1, config, this.#options.describe(config))
    } catch (error) {
      throw this.#rejected(actor, request, said, error)
    }
    const same = next.hash === this.#current.hash
    if (same && this.#options.alike(next.config, this.#current.config)) return this.#current
    const glass = said.break_glass === true
    const obstacle = glass ? undefined : this.#options.obstacle()
    if (obstacle !== undefined)
      throw this.#rejected(actor, request, said, new BalancerError('change-unrecorded', obstacle))
    const { changes, before, after } = difference(this.#current.record, next.record)
    const stamp = { config_revision: next.number, config_hash: next.hash }
    const config = { ...said, revision: next.number, hash: next.hash, before, after, changes: [...changes] }
    const ticket = this.#options.emit('config.changed', { actor, lb: stamp, config })
    if (!glass) {
      try {
        await this.#options.durable(ticket)
      } catch (error) {
        throw this.#rejected(
          actor,
          request,
          said,
          new BalancerError('change-unrecorded', reasonOf(error), { cause: error }),
        )
      }
    }
    this.#current = next
    this.#options.apply(next.config)
    return next
  }

  #rejected(actor: Actor, request: ChangeRequest, said: Said, error: unknown): unknown {
    const code = error instanceof BalancerError ? error.code : 'internal'
    const detail = recordedOf(error).slice(0, mostDetail).toWellFormed()
    const attempted = {
      type: request.type,
      ...(request.backend === undefined ? {} : { backend: request.backend }),
      arguments: request.attempted,
    }
    this.#options.emit('config.rejected', { actor, outcome: 'failure', config: { ...said, code, detail, attempted } })
    if (code === 'change-refused') {
      this.#options.emit('access.denied', {
        actor,
        outcome: 'failure',
        access: { rule: 'control.authorize', phase: 'admin', detail },
      })
    }
    return error
  }
}

/** How much of the text of a fault is recorded: some of it may be what a caller sent. */
const mostDetail = 2048

type Source = EventFields<'config.changed'>['config']['source']
type Said = ReturnType<typeof noteFields>

const noteFields = (note: ChangeNote, source: Source) => ({
  source,
  ...(note.message === undefined ? {} : { message: note.message.toWellFormed() }),
  ...(note.ticket === undefined ? {} : { ticket: note.ticket.toWellFormed() }),
  ...(note.breakGlass === true ? { break_glass: true } : {}),
})

function revisionOf<C>(number: number, config: C, record: Members): Revision<C> {
  const text = `${canonical(record)}${secretsDigest(record)}`
  return Object.freeze({ number, hash: hash('sha256', text, 'hex'), config, record })
}
