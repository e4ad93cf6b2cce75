// Writes one log: lines wait in memory, go to disk in coalesced writes, and are covered by signed checkpoints.
//
// What could not be written is written again after a pause, so no line that was taken is given up before close. A crash of the
// process loses what was not written, at most 25 ms of lines; a power loss at most 100 ms of lines, or with durability `none`
// those that no checkpoint covers.
import { within } from '../clock.ts'
import { BalancerError } from '../errors.ts'
import { type LogName, maxLineBytes, type SignedCheckpoint, type StoreNotice } from '../sink.ts'
import { actFacts } from './act.ts'
import type { HandOver } from './keyring.ts'
import type { Recovered } from './recovery.ts'
import { Schedule } from './schedule.ts'
import type { Segment } from './segments.ts'
import type { WriterContext, WriterOptions } from './writer-context.ts'

/** An event whose line is to come. */
interface Awaited {
  readonly name: string
  /** Called before its line is taken, and `undo` where it is not taken after all. */
  readonly before?: ((index: number) => void) | undefined
  readonly undo?: (() => void) | undefined
  /** Where it stands. */
  index?: number
}

export class LogWriter {
  readonly origin: string
  readonly dir: string
  private next: number
  private readonly schedule: Schedule
  /** Written by record and append. */
  private awaited: Awaited | undefined
  private stopped = false

  constructor(
    readonly log: LogName,
    recovered: Recovered,
    options: WriterOptions,
    private readonly context: WriterContext,
  ) {
    this.origin = recovered.origin
    this.dir = recovered.dir
    this.next = recovered.tiles.size
    this.schedule = new Schedule(log, recovered, options, context)
  }

  get fault(): string | undefined {
    return this.schedule.fault
  }

  /** Why a hash tile that is of no use any more could not be deleted when that was last tried. */
  get clutter(): string | undefined {
    return this.schedule.tiles.clutter
  }

  /** The index that the next line gets. */
  get nextIndex(): number {
    return this.next
  }

  /** The index of the oldest line that is there. */
  get firstIndex(): number {
    return this.closed[0]?.first ?? this.current.first
  }

  /** The index behind the last line that is fsynced. */
  get durableEnd(): number {
    return this.schedule.durableSize
  }

  /** The checkpoint that was published last, if this process has published one. */
  get checkpoint(): SignedCheckpoint | undefined {
    return this.schedule.checkpoints.last
  }

  /** How many lines the published checkpoint covers. */
  get signedSize(): number {
    return this.schedule.checkpoints.size
  }

  /** How many lines are in no segment yet. */
  get unwritten(): number {
    return this.schedule.segments.unwritten
  }

  /** Closed segments, the oldest first. Rotation, repair, compression and retention write to it. */
  get closed(): Segment[] {
    return this.schedule.segments.closed
  }

  /** The segment that is being written: its first line, its size, and when it was last written to, by the time of the store. */
  get current(): { readonly first: number; readonly bytes: number; readonly writtenAt: number } {
    return this.schedule.segments.file
  }

  /** All segments, the oldest first. */
  allSegments(): Segment[] {
    const { first, path, bytes, writtenAt: at } = this.schedule.segments.file
    return [...this.closed, { first, path, bytes, at, compressed: false }]
  }

  /** Bytes of the segments, as if the one that is being written were full. */
  get bytesWhenFull(): number {
    const { closed, file, maxBytes } = this.schedule.segments
    return closed.reduce((sum, one) => sum + one.bytes, Math.max(file.bytes, maxBytes))
  }

  append(index: number, line: string): boolean {
    if (index !== this.next) throw new RangeError(`append to ${this.origin}: expected line ${this.next}, got ${index}`)
    // Nobody could read such a log. A character is at most three bytes of UTF-8: short lines need no count.
    if (line.length * 3 > maxLineBytes && Buffer.byteLength(line) > maxLineBytes)
      throw new RangeError(`append to ${this.origin}: line ${index} is longer than ${maxLineBytes} bytes`)
    const awaited = this.awaited !== undefined && line.includes(this.awaited.name) ? this.awaited : undefined
    awaited?.before?.(index)
    if (!this.schedule.push(line)) {
      awaited?.undo?.()
      return false
    }
    if (awaited !== undefined) {
      awaited.index = index
      this.awaited = undefined
    }
    this.next++
    return true
  }

  durable(index: number): Promise<void> {
    const { durableSize, waiters, kick } = this.schedule
    if (index < durableSize) return Promise.resolve()
    if (this.stopped) return Promise.reject(this.closedBefore(`line ${index}`))
    const promise = waiters.add(index)
    // Those who wait within one turn share one fsync.
    queueMicrotask(kick)
    return promise
  }

  /** Resolves once a checkpoint covers the line, and makes one for it; rejects if the log closes before. */
  signed(index: number): Promise<void> {
    if (index < this.signedSize) return Promise.resolve()
    if (this.stopped) return Promise.reject(this.closedBefore(`line ${index}`))
    this.schedule.hurryCheckpoint()
    return this.schedule.signers.add(index)
  }

  /** Resolves to true once the next key signs; to false if the line that tells of it was not taken. Rejects at close. */
  async handOver(next: HandOver): Promise<boolean> {
    const { checkpoints } = this.schedule
    let done: Promise<void> | undefined
    // Before the line is taken: it must not get into the tree together with what follows.
    const before = (index: number): void => {
      done = checkpoints.handOver(next, index + 1)
    }
    const facts = { from: next.from.vkey, to: next.to.vkey, reason: next.reason, ...actFacts(next.note ?? {}) }
    if (this.record('audit.key_rotated', facts, { before, undo: () => checkpoints.withdraw() }) === undefined)
      return false
    this.schedule.hurryCheckpoint()
    await done
    return true
  }

  /**
   * Tells of something in this log; returns the index of the line that says so, undefined if it was not taken. A gap may be told
   * before that line, and whoever hears of it may record more behind it.
   */
  record(
    event: StoreNotice['event'],
    facts: StoreNotice['facts'],
    around: Pick<Awaited, 'before' | 'undo'> = {},
  ): number | undefined {
    const awaited: Awaited = { name: `"event_name":"${event}"`, ...around }
    this.awaited = awaited
    this.tell(event, facts)
    this.awaited = undefined
    return awaited.index
  }

  /** Holds the segment that is being written against its name, and puts right what others have done to it. */
  look(): void {
    this.schedule.look()
  }

  /** Begins a new segment, although the old one is neither full nor old. Resolves once that is done, or the log has closed. */
  closeSegment(): Promise<void> {
    return this.schedule.closeSegment()
  }

  /**
   * Writes and fsyncs what waits before it returns: for the end of the process. Never throws; returns how many lines it could
   * not write.
   */
  flushSync(): number {
    const { segments } = this.schedule
    try {
      if (!this.stopped) segments.flushSync()
      return 0
    } catch {
      return segments.unwritten
    }
  }

  /** Writes what waits and signs it; gives up after `deadlineMs`. `stuck`: the system has not yet answered the last call. */
  async close(deadlineMs: number): Promise<{ readonly unwritten: number; readonly stuck: boolean }> {
    const { schedule } = this
    const limit = (idle: Promise<void>) => within(this.context.clock, idle, deadlineMs, undefined)
    const stuck = await schedule.close(limit)
    this.stopped = true
    for (const list of [schedule.waiters, schedule.signers]) list.rejectAll(this.closedBefore('the line'))
    schedule.checkpoints.abandon(this.closedBefore('the next key'))
    return { unwritten: this.unwritten, stuck }
  }

  /** Tells of something in this log, to be recorded as an event of it. */
  tell(event: StoreNotice['event'], facts: StoreNotice['facts']): void {
    this.context.notify({ event, log: this.log, facts })
  }

  private closedBefore(what: string): BalancerError {
    return new BalancerError('closed', `${this.origin} was closed before ${what} was on disk`)
  }
}
