// The face of an audit trail: what the host of the library can do with it.
import type { CloseOptions } from '../clock.ts'
import type { EventName } from '../events.ts'
import type { ActNote, Sink } from '../sink.ts'
import type { Listener } from './bus.ts'
import type { Denial, Finding, Reading } from './record.ts'

/** What `close` could not deliver. */
export interface AuditClosed {
  /** Lines that a sink did not accept, by its name; a file sink's are those that could not be written. */
  readonly undelivered: Readonly<Record<string, number>>
}

/**
 * The audit trail: a bus to listen to, sinks to deliver to, and a door for the host's own events. None of its functions
 * makes a request fail or wait, but that `on` and `record` throw for what is a mistake in the program that calls it.
 */
export interface Audit {
  /**
   * Calls `listener` with every event of this name, `*` with all. It gets the redacted, frozen event. Throws `config-invalid` for a
   * name that no event has, and for what is no function.
   */
  on<N extends EventName>(name: N | '*', listener: Listener<N>): void
  off<N extends EventName>(name: N | '*', listener: Listener<N>): void
  /** Delivers every line from now on to this sink too. Throws `config-invalid` for a name that is taken. */
  addSink(sink: Sink): void
  /**
   * Records a denial of the host's own. What is too long is cut, and an actor may have an empty id. Throws `config-invalid`
   * for what cannot be recorded: no rule, no such phase, a member of another type.
   */
  record(name: 'access.denied', denial: Denial): void
  /** Records that somebody has read the log. Throws `config-invalid` for what cannot be recorded: no actor, no verb. */
  record(name: 'audit.read', reading: Reading): void
  /** Records what a witness finds, for which it calls this itself: it takes a trail as its option `audit`. */
  record(name: 'witness.origin_changed' | 'witness.refused', finding: Finding): void
  /** Records an event of the host's own, with any fields. Throws `event-unknown` for any other name. */
  record(name: `app.${string}`, fields: object): void
  /**
   * Lets the logs be signed by a new key from now on: the old one signs that in each of them, so that who trusts the old can trust the
   * new, with who wanted it (`by`) and what for (`reason`) as far as that is given. Resolves with both verifier keys once that is
   * so, and waits for the log to be opened. Rejects with `sink-unavailable` without a file sink, where it cannot be opened, or where its key
   * is somebody else's to change; with `closed` once the trail is closed.
   */
  rotateKey(note?: ActNote): Promise<{ readonly from: string; readonly to: string }>
  /**
   * Lets what waits to be written be written and fsynced when the process ends without `close`, by `process.exit` or an error that
   * nobody caught: a signal that kills it leaves no time. Returns a function that undoes it. Not done unless called.
   */
  installExitHooks(): () => void
  /** Resolves once every sink is open, and rejects with `sink-unavailable` or `instance-held` if one cannot be. */
  ready(): Promise<void>
  /**
   * Delivers what waits and closes the sinks, within `deadlineMs` (default 10,000; `Infinity` waits as long as it takes). Never fails
   * for what it meets on the way, and gives the log free. A second call waits for the first. Rejects with `config-invalid` only as the
   * `audit` of a balancer that was given a trail: whoever made that closes it.
   */
  close(options?: CloseOptions): Promise<AuditClosed>
}
