// A trail as one balancer has it: every event carries its pool and the configuration in force.
import { BalancerError } from '../errors.ts'
import type { Emit, EventFields, EventName } from '../events.ts'
import type { Audit } from './audit.ts'
import { recordInto } from './record.ts'
import type { Trail } from './trail.ts'

/** What the balancer stamps on its events. */
export interface Stamp {
  readonly config_hash: string
  readonly config_revision: number
  readonly pool: string
}

/** `shared`: others record in this trail too, and it is not for one of them to close it. */
export function scopeOf(trail: Trail, shared: boolean, stamp: () => Stamp): { emit: Emit; audit: Audit } {
  // What an event says of its own goes before the stamp: a change carries the revision that it makes, and a request, for
  // the sake of its cost, a stamp that is in its place already.
  const emit: Emit = <N extends EventName>(name: N, fields: EventFields<N>) => {
    const { lb } = fields as { lb?: Partial<Stamp> }
    return trail.emit(
      name,
      lb?.pool !== undefined ? fields : ({ ...fields, lb: { ...stamp(), ...lb } } as EventFields<N>),
    )
  }
  return {
    emit,
    audit: {
      on: (name, listener) => trail.on(name, listener),
      off: (name, listener) => trail.off(name, listener),
      addSink: (sink) => trail.addSink(sink),
      record: (name: string, fields: object) => recordInto(emit, name, fields),
      rotateKey: (note) => trail.rotateKey(note),
      installExitHooks: () => trail.installExitHooks(),
      ready: () => trail.ready(),
      async close(options) {
        if (shared) throw new BalancerError('config-invalid', 'audit.close: whoever made this trail closes it')
        return trail.close(options)
      },
    },
  }
}
