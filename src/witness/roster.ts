// The roster: of each log what was seen last of it, and whether it speaks, has ended, fell silent or shrank.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { member, parseLine } from '../log/envelope.ts'
import { emptyRoot, fromHash } from '../log/merkle.ts'
import { replaceFile } from '../log/replace-file.ts'
import { orMissing } from '../log/segments.ts'
import type { Catalogue, Origin, OriginState, WriterFolder } from './catalogue.ts'

/** A log went over to another state. */
export interface OriginChange {
  readonly origin: string
  /** `absent` for one that was not known before. */
  readonly from: OriginState | 'absent'
  readonly to: OriginState
  /** Size of the last cosigned checkpoint. */
  readonly size: number
  readonly lines: number
  /** RFC 3339. */
  readonly last_seen: string
  /** What is wrong, where something is. */
  readonly fault?: string
}

/** What the roster says of one log, as `auditlb verify --roster` reads it. */
export interface RosterEntry {
  /** Size and root of the last cosigned checkpoint; 0 and nothing before the first. */
  readonly size: number
  readonly root: string
  readonly lines: number
  readonly last_seen: string
  readonly state: OriginState
  readonly vkey?: string
  /** The checkpoint, with the signature of its writer and that of the witness. */
  readonly note?: string
  readonly fault?: string
}

export interface Roster {
  readonly origins: Readonly<Record<string, RosterEntry>>
}

export interface RosterOptions {
  readonly dir: string
  readonly mode: number
  readonly silentAfterMs: number
  readonly clock: Clock
  readonly onChange: (change: OriginChange) => void
  readonly onFault: (error: unknown) => void
}

/** What has just come from a log. */
export interface Sign {
  /** The boot that made the last line. */
  readonly boot?: string | undefined
  /** The boot whose `audit.closed` is among the lines, and how many lines there are up to it. */
  readonly closed?: { readonly boot: string; readonly size: number } | undefined
}

const writeMs = 1000
const noRoot = fromHash(emptyRoot).toString('base64')
const known: readonly unknown[] = ['open', 'closed', 'silent', 'shrunk'] satisfies OriginState[]

export class RosterKeeper {
  /** By folder: when something came last from its writer, by the monotonic clock. */
  private readonly heard = new Map<object, number>()
  private readonly startedUs: number
  private timer: Timer | undefined
  private looking: Timer | undefined
  private writing: Promise<void> = Promise.resolve()
  private stopped = false

  constructor(
    private readonly catalogue: Catalogue,
    private readonly options: RosterOptions,
  ) {
    this.startedUs = options.clock.monoUs()
  }

  /** Takes over what was known before. */
  async load(): Promise<void> {
    const text = await orMissing(readFile(this.path, 'utf8'), '')
    const origins = member(parseLine(text) ?? {}, 'origins')
    for (const entry of this.catalogue.origins.values()) {
      const read = (key: string): unknown => member({ origins }, 'origins', entry.origin, key)
      const [state, fault, lines, seen] = [read('state'), read('fault'), read('lines'), read('last_seen')]
      if (known.includes(state)) entry.state = state as OriginState
      if (typeof fault === 'string') entry.fault = fault
      if (typeof lines === 'number' && Number.isSafeInteger(lines)) entry.lines = Math.max(entry.lines, lines)
      entry.lastSeen = Date.parse(String(seen)) || 0
    }
    this.look()
  }

  /** Something came: whoever was silent speaks, and whoever had ended began anew, unless it was the same boot. */
  seen(entry: Origin, sign: Sign = {}): void {
    const { clock } = this.options
    entry.lastSeen = clock.now()
    const { folder } = entry
    this.heard.set(folder, clock.monoUs())
    if (sign.closed !== undefined) folder.closing = { entry, ...sign.closed }
    else if (sign.boot !== undefined) {
      if (sign.boot !== folder.closing?.boot) folder.closing = undefined
      if (sign.boot !== folder.closedBoot) folder.closedBoot = undefined
    }
    this.settle(folder)
  }

  /** Whoever has a token can send a line that says so: it has ended once that line is signed. */
  private settle(folder: WriterFolder): void {
    const { closing } = folder
    if (closing !== undefined && closing.entry.size >= closing.size) {
      folder.closedBoot = closing.boot
      folder.closing = undefined
    }
    const closed = folder.closedBoot !== undefined
    for (const one of folder.logs.values()) {
      if (one.fault !== undefined) continue
      if (closed ? one.state !== 'closed' : one.state === 'silent' || one.state === 'closed')
        this.change(one, closed ? 'closed' : 'open')
    }
    this.later()
  }

  /** A log is known from now on. */
  begun(entry: Origin): void {
    this.tell(entry, 'absent', 'open')
    this.later()
  }

  /** Its sender shows less than was seen before, or something else. It stays so, unless `passing`, until it has caught up. */
  shrunk(entry: Origin, fault: string, passing = false): Promise<void> {
    if (!passing) entry.fault ??= fault
    if (entry.state !== 'shrunk') this.change(entry, 'shrunk', fault)
    return this.write()
  }

  /** A checkpoint was cosigned: its sender shows at least what was seen before. */
  cosigned(entry: Origin): void {
    if (entry.state === 'shrunk' && entry.fault === undefined) this.change(entry, 'open')
    if (entry.folder.closing === undefined) this.later()
    else this.settle(entry.folder)
  }

  get(takes: (entry: Origin) => boolean = () => true): Roster {
    const entries = [...this.catalogue.origins.values()].filter(takes)
    return { origins: Object.fromEntries(entries.map((entry) => [entry.origin, entryOf(entry)])) }
  }

  /** Resolves once what is known now is on disk. */
  write(): Promise<void> {
    this.timer?.cancel()
    this.timer = undefined
    const { mode, onFault } = this.options
    this.writing = this.writing
      .then(() => replaceFile(this.path, `${JSON.stringify(this.get())}\n`, mode))
      .catch(onFault)
    return this.writing
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.looking?.cancel()
    await this.write()
  }

  private get path(): string {
    return join(this.options.dir, 'roster.json')
  }

  private later(): void {
    if (this.stopped) return
    this.timer ??= this.options.clock.after(writeMs, () => void this.write())
  }

  /** Looks again and again for who fell silent. */
  private look(): void {
    const { clock, silentAfterMs } = this.options
    const nowUs = clock.monoUs()
    for (const entry of this.catalogue.origins.values()) {
      if (entry.state !== 'open') continue
      // While the witness did not run nobody could be heard.
      const quietMs = (nowUs - (this.heard.get(entry.folder) ?? this.startedUs)) / 1000
      if (quietMs >= silentAfterMs) this.change(entry, 'silent')
    }
    this.looking = clock.after(Math.ceil(silentAfterMs / 10), () => this.look())
  }

  private change(entry: Origin, to: OriginState, fault = entry.fault): void {
    const from = entry.state
    entry.state = to
    this.tell(entry, from, to, fault)
    this.later()
  }

  private tell(entry: Origin, from: OriginChange['from'], to: OriginState, fault?: string): void {
    const { origin, size, lines, lastSeen } = entry
    const said = fault === undefined ? {} : { fault }
    this.options.onChange({ origin, from, to, size, lines, last_seen: timeOf(lastSeen), ...said })
  }
}

const timeOf = (ms: number): string => new Date(ms).toISOString()

function entryOf({ size, root, lines, lastSeen, state, vkey, note, fault }: Origin): RosterEntry {
  return {
    size,
    root: root === '' ? noRoot : root,
    lines,
    last_seen: timeOf(lastSeen),
    state,
    ...(vkey === undefined ? {} : { vkey }),
    ...(note === '' ? {} : { note }),
    ...(fault === undefined ? {} : { fault }),
  }
}
