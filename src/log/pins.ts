// What was seen of logs from outside of their folder: sizes and roots that a history must still have.
import { BalancerError } from '../errors.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { type LoggedEvent, member, parseLine } from './envelope.ts'
import type { GivenRoster } from './given.ts'

/** A checkpoint that counts because of where it was kept, whoever signed it. */
export interface Pin extends Checkpoint {
  /** Who has seen it, as it is told in a problem. */
  readonly by: string
  /** What else is said of the log there. */
  readonly remark?: string
  /** Whether its log must be here: a roster tells of the logs of other instances as well. */
  readonly must: boolean
}

/** What was kept elsewhere of logs. */
export interface GivenPins {
  readonly roster?: GivenRoster | undefined
  readonly checkpoints?: string | undefined
}

/** Names of the files that they come from, where they come from any. */
type PinNames = { readonly [key in keyof GivenPins]?: string }

export class Pins {
  private readonly byOrigin = new Map<string, Pin[]>()
  private readonly met = new Set<string>()

  constructor(pins: readonly Pin[]) {
    for (const pin of pins) this.byOrigin.set(pin.origin, [...(this.byOrigin.get(pin.origin) ?? []), pin])
  }

  /** Throws `log-invalid`, naming which of them is not what it should be. `names`: what they are called there. */
  static parse({ roster, checkpoints }: GivenPins, names: PinNames = {}): Pins {
    return new Pins([
      ...(roster === undefined ? [] : parseRoster(roster, names.roster ?? 'the roster')),
      ...(checkpoints === undefined
        ? []
        : parsePinnedCheckpoints(checkpoints, names.checkpoints ?? 'the given checkpoint')),
    ])
  }

  get none(): boolean {
    return this.byOrigin.size === 0
  }

  /** Those of a log that is here. */
  of(origin: string | undefined): readonly Pin[] {
    const pins = origin === undefined ? undefined : this.byOrigin.get(origin)
    if (pins !== undefined) this.met.add(origin!)
    return pins ?? []
  }

  /**
   * The origins that nobody has asked for: what is wrong with that, and those of instances that are not here. `present`: those that are, as
   * `<service>/<instance>`, or as `<instance>` where the service is not known.
   */
  absent(present: ReadonlySet<string>): Absent {
    const [facts, elsewhere]: [string[], string[]] = [[], []]
    for (const [origin, pins] of this.byOrigin) {
      if (this.met.has(origin)) continue
      // Where there is nothing at all, nothing is left that could be another's.
      const writer = instanceOf(origin)
      const isHere = present.size === 0 || present.has(writer) || present.has(writer.slice(writer.indexOf('/') + 1))
      const must = isHere ? pins[0] : pins.find((pin) => pin.must)
      if (must === undefined) elsewhere.push(origin)
      else facts.push(`${must.by} has seen ${origin}, and there is no such log: it was replaced or lost`)
    }
    return { facts, elsewhere }
  }
}

export interface Absent {
  readonly facts: readonly string[]
  readonly elsewhere: readonly string[]
}

/** `<service>/<instance>` of `<service>/<instance>/<log>/<id>`. */
export const instanceOf = (origin: string): string => origin.split('/').slice(0, -2).join('/')

const invalid = (what: string, fact: string): BalancerError => new BalancerError('log-invalid', `${what}: ${fact}`)

/** Reads what a witness has seen: `{"origins": {"<origin>": {"size": 1, "root": "<base64>", "note": "…"}}}`; other members are passed over. */
function parseRoster(given: GivenRoster, what: string): Pin[] {
  const origins = member(parseLine(textOf(given)) ?? {}, 'origins')
  if (typeof origins !== 'object' || origins === null || Array.isArray(origins)) {
    throw invalid(what, 'expected a JSON object with a member "origins" that is one')
  }
  return Object.entries(origins as LoggedEvent).map(([origin, entry]) => {
    const [size, root, note] = ['size', 'root', 'note'].map((key) => member({ entry }, 'entry', key))
    const body = `${origin}\n${typeof size === 'number' ? size : ''}\n${typeof root === 'string' ? root : ''}\n`
    const seen = origin.includes('\n') ? undefined : parseCheckpoint(body)
    if (seen === undefined) throw invalid(what, `${origin} needs a size and a root in base64`)
    if (note !== undefined) {
      const signed = typeof note === 'string' ? splitNotes(note).map(({ checkpoint }) => checkpoint) : []
      const same =
        signed.length === 1 && signed[0]?.origin === origin && signed[0].size === size && signed[0].root === seen.root
      if (!same) throw invalid(what, `the note of ${origin} is not one of its size and root`)
    }
    return { ...seen, by: what, must: false, ...remarkOf({ entry }) }
  })
}

function textOf(roster: GivenRoster): string {
  try {
    return typeof roster === 'string' ? roster : JSON.stringify(roster)
  } catch {
    return ''
  }
}

/** Who has shown its witness other lines, or fewer, is to be asked why, whatever its folder holds now. */
function remarkOf(entry: LoggedEvent): Pick<Pin, 'remark'> {
  const [state, fault] = ['state', 'fault'].map((key) => member(entry, 'entry', key))
  if (state !== 'shrunk' && typeof fault !== 'string') return {}
  return { remark: `the roster calls it shrunk${typeof fault === 'string' ? `: ${fault}` : ''}` }
}

/** Reads checkpoints that were kept: signed notes, one after the other, with empty lines between them or none. */
function parsePinnedCheckpoints(text: string, what: string): Pin[] {
  const notes = splitNotes(text)
  if (notes.length === 0) throw invalid(what, 'expected signed notes')
  return notes.map(({ checkpoint }, i) => {
    if (checkpoint === undefined) throw invalid(what, `note ${i + 1} is no checkpoint`)
    return { ...checkpoint, by: what, must: true }
  })
}

/** A note is text without empty lines, an empty line, and lines that begin with a dash. */
function splitNotes(text: string): { readonly checkpoint: Checkpoint | undefined }[] {
  const found: { checkpoint: Checkpoint | undefined }[] = []
  const pattern = /((?:(?!— ).+\n)+)\n(?:— .+\n?)+\n*/uy
  while (pattern.lastIndex < text.length) {
    const body = pattern.exec(text)?.[1]
    if (body === undefined) return [...found, { checkpoint: undefined }]
    found.push({ checkpoint: parseCheckpoint(body) })
  }
  return found
}
