// The operator: the changes that an actor can ask for.
import { types } from 'node:util'
import { z } from 'zod'
import { type Backend, type BackendOptions, backendSchema, backendTraits, nameSchema } from '../backend.ts'
import type { Json } from '../canonical.ts'
import { BalancerError } from '../errors.ts'
import type { Actor } from '../event-parts.ts'
import { parseOptions, type Reading, read } from '../parse.ts'
import type { Place } from '../refused.ts'
import { kindOf } from '../shown.ts'
import type { ChangeRequest } from './authorize.ts'
import type { ChangeNote, Revision, Revisions } from './revisions.ts'
import { adminOf, disabled, drained, type PoolPart, readied } from './standing.ts'

const addedSchema = z.strictObject({ backend: backendSchema })
const weighedSchema = z.strictObject({ weight: backendTraits.weight.unwrap() })

const noteSchema = z.strictObject({
  message: z.string().max(1024).optional(),
  ticket: z.string().max(256).optional(),
  breakGlass: z.boolean().optional(),
  wait: z.boolean().optional(),
})
const drainSchema = noteSchema.extend({ deadlineMs: z.int().min(0).max(86_400_000).optional() })

/** What can be said with `drain`, `disable` and `remove`. */
export interface LeaveNote extends ChangeNote {
  /** Resolve only when nothing is in flight on the backend any more. Default false: once no new pick can reach it. */
  readonly wait?: boolean
}

/** What can be said with `drain`. */
export interface DrainNote extends LeaveNote {
  /**
   * How long what is in flight may take, in ms, up to a day; counted from when the drain is in force. After that the backend
   * is disabled, as by `disable`, in a revision of its own by the same actor. With it, `wait` waits no longer. Default: for
   * ever.
   */
  readonly deadlineMs?: number
}

/**
 * The changes that one actor makes. Each is checked, authorised, recorded with before and after, and then put in force, one
 * at a time; each resolves with the revision that is in force then, and rejects with a {@link BalancerError} if it is not.
 */
export interface Operator<U> {
  addBackend(backend: BackendOptions, note?: ChangeNote): Promise<number>
  /** Takes a backend out; what is in flight on it finishes. */
  remove(id: string, note?: LeaveNote): Promise<number>
  /** No new picks; what is in flight finishes. One that is disabled stays so. */
  drain(id: string, note?: DrainNote): Promise<number>
  /** No new picks; the requests in flight on it are cut off, or tried elsewhere. Leases cannot be cut off. */
  disable(id: string, note?: LeaveNote): Promise<number>
  /** Brings back what is draining or disabled. */
  undrain(id: string, note?: ChangeNote): Promise<number>
  /** 0 means no new picks. */
  setWeight(id: string, weight: number, note?: ChangeNote): Promise<number>
  /** Replaces the given parts of the configuration, each as a whole. */
  update(changes: U, note?: ChangeNote): Promise<number>
}

export interface OperatorOptions<C extends PoolPart, U> {
  readonly actor: Actor
  readonly revisions: Revisions<C>
  /** Changes, checked, as what puts them into a configuration. */
  readonly read: (changes: U) => Reading<(config: C) => C>
  /** Arguments as records hold them; what stands at `refused` by kind and length only. */
  readonly describe: (value: unknown, refused: readonly Place[]) => Json
  /** A wait for the backend that has this id now: it resolves when nothing is in flight there. */
  readonly emptied: (id: string) => () => Promise<void>
  /** Where discovery found the backend that has this id now; undefined if it did not. */
  readonly discoveredBy: (id: string) => string | undefined
  /** A wait for the drain deadline that this backend has now, if it has one. */
  readonly deadlineOver: (id: string) => Promise<void> | undefined
}

/** What a change is about. */
interface About {
  readonly backend?: unknown
  readonly attempted: unknown
  /** Where `attempted` holds what is not valid. */
  readonly refused?: readonly Place[]
}

export function createOperator<C extends PoolPart, U>(options: OperatorOptions<C, U>): Operator<U> {
  const { actor, revisions, describe, emptied, discoveredBy, deadlineOver } = options
  const requireKnown = (config: C, id: string): void => {
    if (!config.backends.some((backend) => backend.id === id) && discoveredBy(id) === undefined) throw unknown(id)
  }
  const change = async (
    type: ChangeRequest['type'],
    about: About,
    note: LeaveNote | undefined,
    edit: (config: C) => C,
  ): Promise<Revision<C>> => {
    const given = asItIs(note)
    const said = read(type === 'drain' ? drainSchema : noteSchema, given ?? {}, `the note of ${type}`)
    const { attempted, backend, refused = [] } = about
    const id = isName(backend) ? { backend } : {}
    // Of a note `attempted` holds the deadline alone.
    const noted = said.refused.filter(([option]) => option === 'deadlineMs')
    const nameless = isName(Object(attempted).id) ? [] : [['id']]
    const request = { type, ...id, attempted: describe(attempted, [...refused, ...noted, ...nameless]) }
    if (said.valid) return revisions.change(actor, request, said.take() as ChangeNote, edit)
    // A note that is not valid refuses the change, which is then recorded like any other that is refused.
    return revisions.change(actor, request, {}, () => said.take() as never)
  }
  const leave = async (
    type: 'drain' | 'disable' | 'remove',
    id: string,
    note: DrainNote | undefined,
    edit: (config: C) => C,
  ): Promise<number> => {
    // Taken before the change: a removed backend cannot be asked for by its id any more.
    const whenEmpty = emptied(id)
    const { wait, deadlineMs } = note ?? {}
    const attempted = deadlineMs === undefined ? { id } : { id, deadlineMs }
    const { number } = await change(type, { backend: id, attempted }, note, edit)
    const over = deadlineOver(id)
    if (wait === true) await (over === undefined ? whenEmpty() : Promise.race([whenEmpty(), over]))
    return number
  }
  return {
    async addBackend(given, note) {
      const backend = asItIs(given)
      const id = typeof backend === 'object' && backend !== null ? backend.id : undefined
      const { refused, take } = read(addedSchema, { backend }, 'addBackend')
      const { number } = await change(
        'add-backend',
        { backend: id, attempted: { backend }, refused },
        note,
        (config) => {
          const added = take().backend
          if (config.backends.some((known) => known.id === added.id))
            throw new BalancerError('backend-exists', added.id)
          return { ...config, backends: [...config.backends, added] }
        },
      )
      return number
    },
    remove: (id, note) =>
      leave('remove', id, note, (config) => {
        requireBackend(config, id, discoveredBy(id))
        return readied({ ...config, backends: config.backends.filter((backend) => backend.id !== id) }, id)
      }),
    drain(id, note) {
      const { deadlineMs, ...said } = asItIs(note) ?? {}
      return leave('drain', id, { ...said, ...(deadlineMs === undefined ? {} : { deadlineMs }) }, (config) => {
        requireKnown(config, id)
        return drained(config, id, deadlineMs === undefined ? undefined : { ms: deadlineMs, actor, note: said })
      })
    },
    disable: (id, note) =>
      leave('disable', id, note, (config) => {
        requireKnown(config, id)
        return disabled(config, id)
      }),
    async undrain(id, note) {
      const { number } = await change('undrain', { backend: id, attempted: { id } }, note, (config) => {
        // One that discovery has lost may come again: what was set on it holds still.
        if (adminOf(config, id) === 'ready') requireKnown(config, id)
        return readied(config, id)
      })
      return number
    },
    async setWeight(id, weight, note) {
      const { refused, take } = read(weighedSchema, { weight }, 'setWeight')
      const about = { backend: id, attempted: { id, weight }, refused }
      const { number } = await change('set-weight', about, note, (config) => {
        if (discoveredBy(id) !== undefined) return { ...config, weights: { ...config.weights, [id]: take().weight } }
        const known = requireBackend(config, id)
        const { id: _, address, port, ...rest } = known
        const changed = parseOptions(backendSchema, { ...rest, id, weight: take().weight }, 'setWeight')
        return { ...config, backends: config.backends.map((backend) => (backend === known ? changed : backend)) }
      })
      return number
    },
    async update(given, note) {
      const changes = asItIs(given)
      const { refused, take } = options.read(changes)
      const { number } = await change('update', { attempted: changes, refused }, note, (config) => take()(config))
      return number
    },
  }
}

/** No option lies deeper: what does is refused, and need not be kept. */
const mostDepth = 8

/**
 * Arguments as they are at the call. What is authorised, recorded and put in force is this, whatever the caller does with
 * its own object meanwhile. Functions and a strategy of the user's own stay the same ones.
 */
function asItIs<T>(value: T, key = '', depth = 0): T {
  if (typeof value !== 'object' || value === null || depth > mostDepth) return value
  if ((key === 'strategy' && 'pick' in value) || Symbol.asyncIterator in value) return value
  if (value instanceof Uint8Array) return Buffer.from(value) as unknown as T
  if (types.isRegExp(value)) return new RegExp(value.source, value.flags) as unknown as T
  if (Array.isArray(value)) return Array.from(value, (item) => asItIs(item, '', depth + 1)) as T
  const members = Object.entries(value).map(([name, member]) => [name, asItIs(member, name, depth + 1)])
  return Object.setPrototypeOf(Object.fromEntries(members), Object.getPrototypeOf(value))
}

function requireBackend(config: PoolPart, id: string, source?: string): Backend {
  const known = config.backends.find((backend) => backend.id === id)
  if (known === undefined && source !== undefined)
    throw new BalancerError(
      'backend-discovered',
      `${id} comes from ${source}: it leaves when that has it no more; drain it`,
    )
  if (known === undefined) throw unknown(id)
  return known
}

const isName = (id: unknown): id is string => nameSchema.safeParse(id).success

/** What is no id of any backend may be a secret. */
const unknown = (id: unknown): BalancerError => new BalancerError('backend-unknown', isName(id) ? id : kindOf(id))
