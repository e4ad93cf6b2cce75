// Takes lines, leaf hashes and checkpoints of logs, and says what it takes.
import { rename } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { member } from '../log/envelope.ts'
import { keyChangeOf } from '../log/key-line.ts'
import { hashBytes, toHash } from '../log/merkle.ts'
import type { Verifier } from '../log/note.ts'
import { syncDir } from '../log/segments.ts'
import { type Answered, gap, malformed, Refusal } from './answer.ts'
import { type Catalogue, logDir, type Origin } from './catalogue.ts'
import { type Cosigning, mustBeSigned } from './cosigning.ts'
import { type Doubt, keepEvidence } from './evidence.ts'
import type { HeldLog } from './held-log.ts'
import { claimedKey } from './keys.ts'
import { type PostedLine, readPosted } from './lines.ts'
import type { Logs } from './logs.ts'
import type { RosterKeeper, Sign } from './roster.ts'

export interface IntakeParts {
  readonly catalogue: Catalogue
  readonly logs: Logs
  readonly roster: RosterKeeper
  readonly cosigning: Cosigning
  readonly clock: Clock
  readonly mode: number
  /** Refuses a new log where there are too many; makes its folder. */
  readonly admit: (origin: string, sender: string) => Promise<Origin>
  /** Refuses so many bytes where there is no room. */
  readonly room: (bytes: number) => void
  /** A segment was closed. */
  readonly grown: () => void
}

/** In one post. Each of them ends a segment. */
const mostRefusedLines = 16
/** Leaf hashes of one post. */
const mostLeaves = 65_536

export class Intake {
  constructor(private readonly parts: IntakeParts) {}

  /** Appends lines from `first` on; those that are here already are compared. What it answers with 200 is on disk. */
  async lines(origin: string, first: number, body: Buffer, sender: string): Promise<Answered> {
    const { bytes, lines } = readPosted(body, origin, first)
    const refused = lines.filter(({ fault }) => fault !== undefined)
    if (refused.length > mostRefusedLines) throw refusal(refused, lines)
    const entry = await this.entry(origin, first, sender)
    return this.parts.logs.use(entry, async (log) => {
      const fresh = await this.compare(entry, log, first, lines, bytes)
      for (let i = fresh; i < lines.length; ) {
        let end = i
        while (end < lines.length && lines[end]!.fault === undefined) end++
        if (end > i) await this.append(log, bytes, lines.slice(i, end))
        // What is refused has its place in the tree all the same, or nothing that follows could be proved.
        else await log.miss([lines[end++]!.leaf])
        i = end
      }
      this.parts.roster.seen(entry, signOf(entry, lines))
      this.parts.grown()
      if (refused.length > 0) throw refusal(refused, lines, log.size)
      return { status: 200, body: { size: log.size } }
    })
  }

  /** Takes the hashes of lines that their sender has not any more. */
  async leaves(origin: string, first: number, body: Buffer, sender: string): Promise<Answered> {
    if (body.length === 0 || body.length % hashBytes !== 0 || body.length > mostLeaves * hashBytes)
      throw malformed(`expected 1 to ${mostLeaves} hashes of ${hashBytes} bytes`)
    const given = Array.from({ length: body.length / hashBytes }, (_, i) => toHash(body, i * hashBytes))
    const entry = await this.entry(origin, first, sender)
    return this.parts.logs.use(entry, async (log) => {
      const lines = given.map((leaf, i) => ({
        index: first + i,
        leaf,
        start: 0,
        end: 0,
        event: undefined,
        fault: undefined,
      }))
      const fresh = await this.compare(entry, log, first, lines)
      if (fresh < given.length) await log.miss(given.slice(fresh))
      this.parts.roster.seen(entry)
      return { status: 200, body: { size: log.size } }
    })
  }

  /** Cosigns checkpoints of one log, the smallest first, once the lines that they cover are here. */
  async checkpoints(origin: string, notes: readonly string[], vkey: string): Promise<Answered> {
    const entry = this.known(notes)
    if (entry.origin !== origin) throw malformed(`expected checkpoints of ${origin}`)
    const { logs, cosigning } = this.parts
    const key = claimedKey(vkey, entry)
    const note = notes.at(-1)!
    await logs.use(entry, async (log) => {
      mustBeSigned(note, key)
      await this.settlePlace(entry, await cosigning.admit(entry, log, notes.slice(0, -1), key))
    })
    return logs.use(entry, (log) => cosigning.cosign(entry, log, note, key, this.doubt(entry)))
  }

  /** C2SP tlog-witness. */
  async addCheckpoint(old: number, proof: readonly string[], note: string): Promise<Answered> {
    const entry = this.known([note])
    const { logs, cosigning } = this.parts
    return logs.use(entry, (log) => cosigning.addCheckpoint(entry, log, { old, proof, note }, this.doubt(entry)))
  }

  /** The log is known, or begins here. */
  private async entry(origin: string, first: number, sender: string): Promise<Origin> {
    const known = this.parts.catalogue.origins.get(origin)
    if (known !== undefined) return known
    if (first > 0) throw gap(origin, 0)
    return this.parts.admit(origin, sender)
  }

  private known(notes: readonly string[]): Origin {
    const checkpoint = notes.map((note) => parseCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1)))
    const origin = checkpoint[0]?.origin
    if (origin === undefined || checkpoint.some((one) => one?.origin !== origin))
      throw malformed('expected signed checkpoints of one log')
    const entry = this.parts.catalogue.origins.get(origin)
    if (entry === undefined) throw new Refusal(404, 'origin-unknown', `no line of ${origin} has come`)
    return entry
  }

  /** How many of these lines are here already. Refuses a gap, and lines that are others than those that are here. */
  private async compare(
    entry: Origin,
    log: HeldLog,
    first: number,
    lines: readonly PostedLine[],
    bytes?: Buffer,
  ): Promise<number> {
    if (first > log.size) throw gap(entry.origin, log.size)
    const here = Math.min(log.size - first, lines.length)
    if (here === 0) return 0
    const held = await log.leaves(first, first + here - 1)
    const other = lines.find(({ leaf }, i) => i < here && leaf !== held[i])
    if (other === undefined) return here
    const { index, start, end } = other
    const fault = `line ${index} is another one than before`
    const line = bytes?.toString('utf8', start, end - 1)
    await this.doubt(entry)(fault, { index, ...(line === undefined ? {} : { line }) })
    throw new Refusal(409, 'rewritten', fault, { members: { index, size: log.size } })
  }

  private async append(log: HeldLog, bytes: Buffer, lines: readonly PostedLine[]): Promise<void> {
    const part = bytes.subarray(lines[0]!.start, lines.at(-1)!.end)
    this.parts.room(part.length)
    const changes = lines.flatMap(({ event, index }) => keyChangeOf(event, index) ?? [])
    const leaves = lines.map(({ leaf }) => leaf)
    await log.append(part, leaves, changes)
  }

  /** A log whose key has nothing to do with that of the folder in which it was begun moves to one of its own. */
  private async settlePlace(entry: Origin, keys: readonly Verifier[]): Promise<void> {
    const { catalogue, logs } = this.parts
    if (entry.vkey !== undefined) return
    const folder = catalogue.folderFor(
      entry,
      keys.map(({ vkey }) => vkey),
    )
    if (folder === entry.folder) return
    await logs.suspend(entry)
    const [from, dir] = [logDir(entry), entry.folder.dir]
    await this.parts.cosigning.makeFolder(folder)
    catalogue.move(entry, folder)
    await rename(from, logDir(entry))
    await syncDir(folder.dir)
    await syncDir(dir)
  }

  /** Keeps what a sender contradicts itself with, and marks its log. */
  private doubt(entry: Origin): Doubt {
    const { clock, mode, roster } = this.parts
    return async (fault, more) => {
      const time = new Date(clock.now()).toISOString()
      await keepEvidence(logDir(entry), { time, origin: entry.origin, fault, ...more }, mode)
      await roster.shrunk(entry, fault)
    }
  }
}

function refusal(refused: readonly PostedLine[], lines: readonly PostedLine[], size?: number): Refusal {
  const [{ index, fault } = { index: 0, fault: '' }] = refused
  const rejected = refused.map((one) => one.index)
  const members = size === undefined ? { lines: lines.length } : { rejected, size }
  return new Refusal(422, size === undefined ? 'lines-refused' : 'some-refused', `line ${index}: ${fault}`, { members })
}

function signOf({ log }: Origin, lines: readonly PostedLine[]): Sign {
  const boot = (event: PostedLine['event']): string | undefined => {
    const id = event === undefined ? undefined : member(event, 'audit', 'boot_id')
    return typeof id === 'string' ? id : undefined
  }
  const last = boot(lines.findLast(({ event }) => event !== undefined)?.event)
  const end = lines.findLast(({ event }) => event !== undefined && member(event, 'event_name') === 'audit.closed')
  // Only the last word counts: a boot that began after another one's end is what speaks now.
  const hasEnded = log === 'control' && end !== undefined && last !== undefined && boot(end.event) === last
  return { boot: last, closed: hasEnded ? { boot: last, size: end.index + 1 } : undefined }
}
