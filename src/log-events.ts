// Events of the log itself: the zod schema of each.
import { z } from 'zod'
import { actor, client, connection, define, int, json, obj, text, withLb } from './event-parts.ts'
import { logNames } from './sink.ts'

/** What a store tells of its files: names, hashes and numbers. */
const logFacts = z.record(text, z.union([text, int]))

/** Lines that a policy left out: by rule, and of each rule by event. */
const skipped = z.record(text, z.record(text, int))

export const logEvents = {
  'audit.opened': define(
    'control',
    'info',
    'The trail has its places in the logs, or could not open the file sink and goes on without.',
    {
      log: obj({
        version: text,
        origins: z.record(text, obj({ origin: text, next: int })),
        /** The verifier key of the checkpoints, where there are any. */
        vkey: text.optional(),
      }),
    },
  ),
  'audit.heartbeat': define('control', 'info', 'A log is being written, although perhaps nothing happens.', {
    log: obj({
      /** The index that the line after this one gets. */
      next: int,
      /** Events of this trail so far, and those of them that are lines nowhere. */
      emitted: int,
      gaps: int,
      skipped: skipped.optional(),
    }),
  }),
  'audit.gap': define('control', 'error', 'Lines are missing, and this is how many.', {
    log: obj({
      /** The sink that did not get the lines; absent when they were lost before they were lines at all, or after. */
      sink: text.optional(),
      origin: text.optional(),
      first: int.optional(),
      last: int.optional(),
      count: int,
      by_type: z.record(text, int).optional(),
      reason: z.enum(['backlog', 'store-unavailable', 'rejected', 'invalid', 'retention', 'lost']),
      first_time: text.optional(),
      last_time: text.optional(),
    }),
  }),
  'audit.recovered': define('control', 'warn', 'A log was not as a clean close leaves it.', { log: logFacts }),
  'audit.rotated': define('control', 'info', 'A segment was closed and another begun.', { log: logFacts }),
  'audit.pruned': define('control', 'info', 'Segments are deleted, for their age or to keep the budget.', {
    log: logFacts,
  }),
  'audit.sink_changed': define('control', 'warn', 'A sink was added, fails, or accepts lines again.', {
    log: obj({
      sink: text,
      from: text,
      to: text,
      failures: int,
      waiting: int,
      last_error: text.optional(),
      /** Outages since the line before about this sink that no line told, for they were short and soon after it. */
      untold: int.optional(),
      /** Of the log on disk, when it is well again: when it began to fail. */
      since: text.optional(),
    }),
  }),
  'audit.read': define('security', 'info', 'Somebody has read the log.', {
    actor,
    client: client.optional(),
    network: connection.optional(),
    lb: withLb({ request_id: text.optional() }).optional(),
    log: obj({
      /** What was done: `query`, `verify`, `export`. */
      verb: text,
      /** What was asked for. */
      filters: json.optional(),
      /** How many events were given. */
      count: int.optional(),
    }),
    app: json.optional(),
  }),
  'audit.hold_changed': define('control', 'info', 'A legal hold was placed or lifted.', {
    log: obj({
      hold: text,
      /** `in-force`: it was there when the writer started. */
      change: z.enum(['placed', 'lifted', 'in-force']),
      logs: z.array(z.enum(logNames)),
      /** Who asked for it, what for, and when. */
      by: text,
      reason: text,
      placed: text,
      /** When it was lifted, by whom and what for; absent where somebody has removed the file. */
      lifted: text.optional(),
      lifted_by: text.optional(),
      lifted_reason: text.optional(),
    }),
  }),
  'audit.clock_stepped': define('control', 'warn', 'The wall clock was set, or the machine slept.', {
    log: obj({
      /** How far the wall clock moved against the monotonic one; negative where it was set back. */
      step_ms: z.int(),
    }),
  }),
  'audit.key_rotated': define('control', 'warn', 'Checkpoints of this log are signed by another key from here on.', {
    /** Verifier keys (C2SP signed-note). */
    log: obj({ from: text, to: text, reason: text, by: text.optional(), message: text.optional() }),
  }),
  'audit.closed': define('control', 'info', 'The last event of a trail.', {
    log: obj({ emitted: int, gaps: int, skipped: skipped.optional() }),
  }),
}
