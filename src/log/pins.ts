// What was seen of logs from outside of their folder: sizes and roots that a history must still have.
import { BalancerError } from '../errors.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { type LoggedEvent, member, parseLine } from './envelope.ts'

/** A checkpoint that counts because of where it was kept, whoever signed it. */
export interface Pin extends Checkpoint {
  /** Who has seen it, as it is told in a problem. */
  readonly by: string
}

export class Pins {
  private readonly byOrigin = new Map<string, Pin[]>()
  private readonly met = new Set<string>()

  constructor(pins: readonly Pin[]) {
    for (const pin of pins) this.byOrigin.set(pin.origin, [...(this.byOrigin.get(pin.origin) ?? []), pin])
  }

  /** Those of a log that is here. */
  of(origin: string | undefined): readonly Pin[] {
    const pins = origin === undefined ? undefined : this.byOrigin.get(origin)
    if (pins !== undefined) this.met.add(origin!)
    return pins ?? []
  }

  /** The origins that nobody has asked for, each with who has seen it. */
  unmet(): { readonly origin: string; readonly by: string }[] {
    return [...this.byOrigin]
      .filter(([origin]) => !this.met.has(origin))
      .map(([origin, [pin]]) => ({ origin, by: pin!.by }))
  }
}

/** `<instance>` of `<service>/<instance>/<log>/<id>`. */
export const instanceOf = (origin: string): string | undefined => origin.split('/').at(-3)

const invalid = (what: string, fact: string): BalancerError => new BalancerError('log-invalid', `${what}: ${fact}`)

/** Reads what a witness has seen: `{"origins": {"<origin>": {"size": 1, "root": "<base64>", "note": "…"}}}`; other members are passed over. */
export function parseRoster(text: string): Pin[] {
  const what = 'the roster'
  const origins = member(parseLine(text) ?? {}, 'origins')
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
    return { ...seen, by: what }
  })
}

/** Reads checkpoints that were kept: signed notes, one after the other, with empty lines between them or none. */
export function parsePinnedCheckpoints(text: string): Pin[] {
  const what = 'the given checkpoint'
  const notes = splitNotes(text)
  if (notes.length === 0) throw invalid(what, 'expected signed notes')
  return notes.map(({ checkpoint }, i) => {
    if (checkpoint === undefined) throw invalid(what, `note ${i + 1} is no checkpoint`)
    return { ...checkpoint, by: what }
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
