// What operators set on backends: the part of a configuration that holds it, and each of its changes.
import type { AdminState, Backend } from '../backend.ts'
import type { Actor } from '../event-parts.ts'
import type { ChangeNote } from './revisions.ts'

/** Until when a backend may drain. The same object for as long as it is in force. */
export interface Deadline {
  /** Counted from when it was put in force. */
  readonly ms: number
  /** Who set it, and what was said: its end is a change by the same. */
  readonly actor: Actor
  readonly note: ChangeNote
}

/** What operators have set, by id. A backend that is named nowhere is ready; none is both draining and disabled. */
export interface Standings {
  readonly draining: readonly string[]
  readonly disabled: readonly string[]
  /** Of those that drain with a deadline. */
  readonly deadlines: ReadonlyMap<string, Deadline>
  /** The weights that were set on backends that discovery found. */
  readonly weights: Readonly<Record<string, number>>
}

/** The part of a configuration that the verbs about backends work on. */
export interface PoolPart extends Standings {
  readonly backends: readonly Backend[]
}

export const nothingSet: Standings = { draining: [], disabled: [], deadlines: new Map(), weights: {} }

export const adminOf = ({ draining, disabled }: Standings, id: string): AdminState =>
  disabled.includes(id) ? 'disabled' : draining.includes(id) ? 'draining' : 'ready'

/** One that is disabled stays so. A deadline as long as the one in force changes nothing. */
export function drained<C extends PoolPart>(config: C, id: string, deadline: Deadline | undefined): C {
  if (config.disabled.includes(id)) return config
  const deadlines = new Map(config.deadlines)
  if (deadline !== undefined && deadlines.get(id)?.ms !== deadline.ms) deadlines.set(id, deadline)
  return { ...config, draining: [...new Set([...config.draining, id])].sort(), deadlines }
}

export const disabled = <C extends PoolPart>(config: C, id: string): C =>
  config.disabled.includes(id)
    ? config
    : { ...config, ...without(config, id), disabled: [...config.disabled, id].sort() }

export const readied = <C extends PoolPart>(config: C, id: string): C => ({ ...config, ...without(config, id) })

/** Without what was set on backends that do not stay. */
export const kept = <C extends PoolPart>(config: C, stays: (id: string) => boolean): C =>
  [...config.draining, ...config.disabled].filter((id) => !stays(id)).reduce(readied, config)

/** What is set on one backend, as a record holds it. */
export function standingOf(standings: Standings, id: string): { admin: AdminState; drainMs?: number } {
  const deadline = standings.deadlines.get(id)
  const admin = adminOf(standings, id)
  return deadline === undefined ? { admin } : { admin, drainMs: deadline.ms }
}

const without = ({ draining, disabled, deadlines }: Standings, id: string): Omit<Standings, 'weights'> => ({
  draining: draining.filter((other) => other !== id),
  disabled: disabled.filter((other) => other !== id),
  deadlines: new Map([...deadlines].filter(([other]) => other !== id)),
})
