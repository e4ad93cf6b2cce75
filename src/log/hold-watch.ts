// Follows the holds of a folder for one writer, and tells each change in its control log: at least once, whatever ends in between.
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { LogName, StoreNotice } from '../sink.ts'
import type { Hold, Lifting } from './hold-file.ts'
import { liftedHold, listHolds, listLifted } from './holds.ts'
import type { KeptHolds, ToldHolds } from './kept-holds.ts'
import { printable } from './summary.ts'
import type { LogWriter } from './writer.ts'

export interface HoldWatchOptions {
  /** The folder of all instances. */
  readonly dir: string
  readonly kept: KeptHolds
  readonly logger: Logger
  readonly control: () => Pick<LogWriter, 'record' | 'durable' | 'durableEnd'>
}

interface Change {
  readonly facts: StoreNotice['facts']
  /** Called once its line is taken. */
  readonly told: () => void
}

export class HoldWatch {
  /** What the lines tell that were taken. Written by look. */
  private state: ToldHolds | undefined
  /** Names of holds that are known to be in force, and of which this process has told. */
  private readonly announced = new Set<string>()
  /** The last line of which the kept state says nothing yet. Written by tell. */
  private lastLine = -1
  private unreadable = false
  private looking: Promise<unknown> = Promise.resolve()

  constructor(private readonly options: HoldWatchOptions) {}

  /**
   * The logs of which nothing may be deleted, as of now. Tells what has changed since the last call, at first all. One call at a
   * time, so that none takes for new what another has seen before.
   */
  held(): Promise<ReadonlySet<LogName>> {
    const look = () => this.look()
    const held = this.looking.then(look, look)
    this.looking = held
    return held
  }

  /** Keeps what was told, as far as it is on disk. Called once the logs are closed. */
  async close(): Promise<void> {
    await this.looking.catch(() => undefined)
    await this.save()
    await this.options.kept.settled()
  }

  private async look(): Promise<ReadonlySet<LogName>> {
    const { dir } = this.options
    this.state ??= await this.begin()
    // Not waited for: on a slow disk no deletion waits for it.
    void this.save()
    // In this order: one that is moved meanwhile is in both lists, and never in none.
    const holds = await listHolds(dir)
    this.tell(await this.changes(this.state, holds))
    // All this takes its time, and what was placed meanwhile is in force.
    return new Set([...holds, ...(await listHolds(dir))].flatMap(({ logs }) => logs))
  }

  /** A writer that has told nothing yet begins with what is there. Those in force it tells at each start, so none is left out. */
  private async begin(): Promise<ToldHolds> {
    const { dir, kept } = this.options
    const told = await kept.read()
    if (told !== undefined) return told
    const files = await this.lifted()
    const lifted = files === undefined ? undefined : new Set(files)
    return { known: new Map((await listHolds(dir)).map((hold) => [hold.name, hold])), lifted }
  }

  /** Only what is on disk counts as told: of what a crash takes away the next start must know nothing. */
  private async save(): Promise<void> {
    const { kept, control } = this.options
    if (this.state !== undefined && this.lastLine < control().durableEnd) await kept.save(this.state)
  }

  private async changes(state: ToldHolds, holds: readonly Hold[]): Promise<Change[]> {
    const { lifted, changes } = await this.lifts(state)
    const isLifted = (hold: Hold): boolean => lifted.some((one) => isSame(one, hold))
    const now = new Map(holds.filter((hold) => !isLifted(hold)).map((hold) => [hold.name, hold]))
    return [...changes, ...this.differences(state.known, now, isLifted)]
  }

  /** What was lifted by calls, and is not told yet. */
  private async lifts(state: ToldHolds): Promise<{ lifted: Hold[]; changes: Change[] }> {
    const { known } = state
    const files = await this.lifted()
    const lifted: Hold[] = []
    const changes: Change[] = []
    if (files === undefined) return { lifted, changes }
    // Of files that are gone nothing need be known. A writer that could not read the folder before begins with what is there.
    const before = state.lifted ?? new Set(files)
    const tolds = new Set(files.filter((file) => before.has(file)))
    state.lifted = tolds
    for (const file of files) {
      const found = tolds.has(file) ? undefined : await this.readable(liftedHold(this.options.dir, file))
      if (found === undefined) continue
      const { hold, lifting } = found
      const same = known.get(hold.name)
      const wasKnown = same !== undefined && isSame(same, hold) && !lifted.some((one) => isSame(one, hold))
      // Somebody has changed its file by hand before.
      if (wasKnown && !isEqual(same, hold)) {
        changes.push({ facts: factsOf(same, 'lifted'), told: () => undefined })
        changes.push({ facts: factsOf(hold, 'placed'), told: () => void known.set(hold.name, hold) })
      }
      if (!wasKnown) changes.push({ facts: factsOf(hold, 'placed'), told: () => undefined })
      const told = () => {
        tolds.add(file)
        if (wasKnown) known.delete(hold.name)
      }
      changes.push({ facts: factsOf(hold, 'lifted', lifting), told })
      lifted.push(hold)
    }
    return { lifted, changes }
  }

  /** What was placed, or put there, changed or removed by hand; at first also what is in force. */
  private differences(
    known: Map<string, Hold>,
    now: ReadonlyMap<string, Hold>,
    isLifted: (hold: Hold) => boolean,
  ): Change[] {
    const changes: Change[] = []
    for (const hold of known.values()) {
      if (isLifted(hold) || isEqual(hold, now.get(hold.name))) continue
      changes.push({ facts: factsOf(hold, 'lifted'), told: () => void known.delete(hold.name) })
    }
    for (const hold of now.values()) {
      const isKnown = isEqual(hold, known.get(hold.name))
      if (isKnown && this.announced.has(hold.name)) continue
      const told = () => {
        known.set(hold.name, hold)
        this.announced.add(hold.name)
      }
      changes.push({ facts: factsOf(hold, isKnown ? 'in-force' : 'placed'), told })
    }
    return changes
  }

  /** As far as the log takes lines: the next call tells the others. */
  private tell(changes: readonly Change[]): void {
    for (const { facts, told } of changes) {
      const index = this.options.control().record('audit.hold_changed', facts)
      if (index === undefined) return
      this.lastLine = index
      told()
    }
    if (changes.length > 0) void this.saveSoon()
  }

  private async saveSoon(): Promise<void> {
    try {
      await this.options.control().durable(this.lastLine)
      await this.save()
    } catch {
      // The log has closed before: what it has not got is told at the next start.
    }
  }

  /** The files of holds that were lifted, in the order of time; undefined if that cannot be known now. */
  private lifted(): Promise<string[] | undefined> {
    return this.readable(listLifted(this.options.dir))
  }

  /** What was lifted holds nothing: that it cannot be read, perhaps for its owner is another, stops no deletion. */
  private async readable<T>(read: Promise<T>): Promise<T | undefined> {
    try {
      return await read
    } catch (error) {
      if (!this.unreadable) {
        this.options.logger.warn({ error: reasonOf(error) }, 'legal holds that were lifted cannot be read; told once')
      }
      this.unreadable = true
      return undefined
    }
  }
}

function factsOf({ name, logs, by, reason, placed }: Hold, change: string, lifting?: Lifting): StoreNotice['facts'] {
  const facts = { hold: name, change, logs, by: printable(by), reason: printable(reason), placed }
  if (lifting === undefined) return facts
  return {
    ...facts,
    lifted: lifting.at,
    ...(lifting.by === undefined ? {} : { lifted_by: printable(lifting.by) }),
    ...(lifting.reason === undefined ? {} : { lifted_reason: printable(lifting.reason) }),
  }
}

/** Whether both are the same act of placing. */
const isSame = (one: Hold, other: Hold): boolean => one.name === other.name && one.placed === other.placed

const isEqual = (one: Hold, other: Hold | undefined): boolean => JSON.stringify(one) === JSON.stringify(other)
