// Follows the holds of a folder for one writer, and tells each change in its control log: at least once, whatever ends in between.
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { LogName } from '../sink.ts'
import { type HoldChange, holdChanges, type LiftedHold } from './hold-changes.ts'
import { holdsIn, liftedHold, listLifted } from './holds.ts'
import type { KeptHolds, ToldHolds } from './kept-holds.ts'
import type { LogWriter } from './writer.ts'

export interface HoldWatchOptions {
  /** The folder of all instances. */
  readonly dir: string
  readonly kept: KeptHolds
  readonly logger: Logger
  readonly control: () => Pick<LogWriter, 'record' | 'durable' | 'durableEnd'>
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
    const holds = await holdsIn(dir)
    const lifts = await this.lifts(this.state)
    this.tell(holdChanges(this.state, this.announced, holds, lifts))
    // All this takes its time, and what was placed meanwhile is in force.
    return new Set([...holds, ...(await holdsIn(dir))].flatMap(({ logs }) => logs))
  }

  /** A writer that has told nothing yet begins with what is there. Those in force it tells at each start, so none is left out. */
  private async begin(): Promise<ToldHolds> {
    const { dir, kept } = this.options
    const told = await kept.read()
    if (told !== undefined) return told
    const files = await this.lifted()
    const lifted = files === undefined ? undefined : new Set(files)
    return { known: new Map((await holdsIn(dir)).map((hold) => [hold.name, hold])), lifted }
  }

  /** Only what is on disk counts as told: of what a crash takes away the next start must know nothing. */
  private async save(): Promise<void> {
    const { kept, control } = this.options
    if (this.state !== undefined && this.lastLine < control().durableEnd) await kept.save(this.state)
  }

  /** What was lifted by calls and is not told yet, the oldest first. */
  private async lifts(state: ToldHolds): Promise<LiftedHold[]> {
    const files = await this.lifted()
    const lifts: LiftedHold[] = []
    if (files === undefined) return lifts
    // A writer that could not read the folder before begins with what is there. Of files that are gone nothing need be known.
    const told = state.lifted ?? new Set(files)
    state.lifted = new Set(files.filter((file) => told.has(file)))
    for (const file of files) {
      const found = told.has(file) ? undefined : await this.readable(liftedHold(this.options.dir, file))
      if (found !== undefined) lifts.push({ file, ...found })
    }
    return lifts
  }

  /** As far as the log takes lines: the next call tells the others. */
  private tell(changes: readonly HoldChange[]): void {
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
