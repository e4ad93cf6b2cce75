// Writes one log: lines wait in memory, go to disk in coalesced writes, and are covered by signed checkpoints.
//
// One job at a time: write, rotate, fsync, or publish a checkpoint. A job that fails is done again after a pause, so no line that
// was taken is given up before close. A crash of the process loses what was not written, at most 10 ms of lines; a power
// loss at most 100 ms of lines, or with durability `none` those that no checkpoint covers.
import { type Clock, within } from '../clock.ts'
import { BalancerError } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { LogName, LogStore, SignedCheckpoint, StoreNotice } from '../sink.ts'
import { Alarm } from './alarm.ts'
import { Batch } from './batch.ts'
import { CheckpointFile } from './checkpoint-file.ts'
import { Faults } from './faults.ts'
import { PendingLines } from './pending.ts'
import type { Recovered } from './recovery.ts'
import { SegmentFile } from './segment-file.ts'
import { type Segment, segmentName } from './segments.ts'
import { Waiters } from './waiters.ts'

// A write for each line would cost more than the line.
const coalesceMs = 10
const eagerChars = 262_144
const syncMs = 100

export interface WriterOptions {
  readonly durability: LogStore['durability']
  readonly mode: number
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number }
  readonly checkpoint: { readonly intervalMs: number; readonly lines: number }
}

export interface WriterContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly notify: (notice: StoreNotice) => void
  /** More lines are durable, or a checkpoint is published. */
  readonly grown: (log: LogName) => void
}

type Job = () => Promise<void>

export class LogWriter {
  readonly origin: string
  readonly dir: string
  /** Closed segments, the oldest first. Written by rotation and by retention. */
  readonly closed: Segment[]
  private next: number
  private readonly pending = new PendingLines()
  private readonly batch = new Batch()
  private readonly waiters = new Waiters()
  /** Those who wait for a checkpoint. */
  private readonly signers = new Waiters()
  private readonly checkpoint: CheckpointFile
  private file: SegmentFile
  /** Lines that are fsynced. */
  private durableSize: number
  private readonly flushing: Alarm
  private readonly syncing: Alarm
  private readonly signing: Alarm
  /** Whether the next line has no room in the segment. */
  private full = false
  private running = false
  private closing = false
  private stopped = false
  private onIdle: () => void = () => {}
  private readonly faults: Faults<Job>

  constructor(
    readonly log: LogName,
    recovered: Recovered,
    private readonly options: WriterOptions,
    private readonly context: WriterContext,
  ) {
    const { dir, origin, signer, tiles, signedSize } = recovered
    const { clock } = context
    this.origin = origin
    this.dir = dir
    this.faults = new Faults(origin, clock, context.logger)
    this.closed = recovered.closed
    this.file = recovered.file
    this.checkpoint = new CheckpointFile(dir, origin, signer, tiles, options.mode)
    this.checkpoint.size = signedSize
    this.next = tiles.size
    this.durableSize = signedSize
    // It holds the process: one that ends by itself still writes its last lines.
    this.flushing = new Alarm(clock, coalesceMs, this.kick, true)
    this.syncing = new Alarm(clock, syncMs, this.kick)
    this.signing = new Alarm(clock, options.checkpoint.intervalMs, this.kick)
    // Whole lines that the last process could not sign any more.
    if (tiles.size > signedSize) this.signing.raise()
    this.kick()
  }

  get healthy(): boolean {
    return !this.faults.any
  }

  /** The index that the next line gets. */
  get nextIndex(): number {
    return this.next
  }

  /** The index of the oldest line that is there. */
  get firstIndex(): number {
    return this.closed[0]?.first ?? this.file.first
  }

  /** The index behind the last line that is fsynced. */
  get durableEnd(): number {
    return this.durableSize
  }

  /** How many lines the checkpoint covers. */
  get signedSize(): number {
    return this.checkpoint.size
  }

  get signedCheckpoint(): SignedCheckpoint | undefined {
    return this.checkpoint.last
  }

  /** All segments, the oldest first. */
  segments(): Segment[] {
    const { first, path, bytes } = this.file
    return [...this.closed, { first, path, bytes }]
  }

  /** The index of the first line in the segment that is being written. */
  get currentFirst(): number {
    return this.file.first
  }

  /** Bytes of the segments, as if the one that is being written were full. */
  get bytesWhenFull(): number {
    return this.closed.reduce((sum, one) => sum + one.bytes, Math.max(this.file.bytes, this.options.segment.maxBytes))
  }

  append(index: number, line: string): boolean {
    if (index !== this.next) throw new RangeError(`append to ${this.origin}: expected line ${this.next}, got ${index}`)
    if (this.closing || !this.pending.push(line)) return false
    this.next++
    if (this.pending.chars >= eagerChars) this.kick()
    else this.flushing.arm()
    return true
  }

  durable(index: number): Promise<void> {
    if (index < this.durableSize) return Promise.resolve()
    if (this.stopped) return Promise.reject(this.closedBefore(`line ${index}`))
    const promise = this.waiters.add(index)
    // Those who wait within one turn share one fsync.
    queueMicrotask(this.kick)
    return promise
  }

  /** Resolves once a checkpoint covers the line, and makes one for it; rejects if the log closes before. */
  signed(index: number): Promise<void> {
    if (index < this.checkpoint.size) return Promise.resolve()
    if (this.stopped) return Promise.reject(this.closedBefore(`line ${index}`))
    this.signing.raise()
    queueMicrotask(this.kick)
    return this.signers.add(index)
  }

  /** Writes what waits and signs it; gives up after `deadlineMs`. `stuck`: the system has not yet answered the last call. */
  async close(deadlineMs: number): Promise<{ readonly unwritten: number; readonly stuck: boolean }> {
    this.closing = true
    this.faults.cancelPause()
    const idle = new Promise<void>((resolve) => {
      this.onIdle = resolve
    })
    this.kick()
    await within(this.context.clock, idle, deadlineMs, undefined)
    this.stopped = true
    for (const alarm of [this.flushing, this.syncing, this.signing]) alarm.clear()
    this.faults.cancelPause()
    for (const list of [this.waiters, this.signers]) list.rejectAll(this.closedBefore('the line'))
    if (!this.running) await this.file.close().catch(() => {})
    return { unwritten: this.pending.count + this.batch.lines, stuck: this.running }
  }

  /** Tells of something in this log, to be recorded as an event of it. */
  tell(event: StoreNotice['event'], facts: StoreNotice['facts']): void {
    this.context.notify({ event, log: this.log, facts })
  }

  private closedBefore(what: string): BalancerError {
    return new BalancerError('closed', `${this.origin} was closed before ${what} was on disk`)
  }

  /** Starts the jobs that are due, unless they run or wait for a pause to pass. */
  private readonly kick = (): void => {
    if (this.running || this.stopped || this.faults.pausing) return
    this.running = true
    void this.run()
  }

  private async run(): Promise<void> {
    let job: Job | undefined
    try {
      // No await may come between the last question and the end: a kick in between would be lost.
      for (job = this.job(); job !== undefined; job = this.job()) {
        await job.call(this)
        this.faults.done(job)
      }
      this.running = false
      this.onIdle()
    } catch (error) {
      this.running = false
      if (!this.stopped) this.faults.failed(error, job!, this.kick, this.closing)
    }
    if (this.stopped) await this.file.close().catch(() => {})
  }

  /** What is to be done next. */
  private job(): Job | undefined {
    if (this.stopped) return undefined
    if (this.batch.lines > 0) return this.write
    const urgent = this.closing || this.waiters.any
    if (this.pending.count > 0) {
      const old = this.context.clock.now() - this.file.begunAt >= this.options.segment.maxAgeMs
      if (this.file.bytes > 0 && (this.full || old)) return this.rotate
      if (urgent || this.flushing.due || this.pending.chars >= eagerChars) return this.write
    }
    const written = this.checkpoint.tiles.size
    const sign = (this.closing || this.signing.due) && this.checkpoint.size < written
    if (this.durableSize < written && (urgent || sign || this.syncing.due)) return this.sync
    return sign ? this.publish : undefined
  }

  private async write(): Promise<void> {
    const { tiles } = this.checkpoint
    if (this.batch.lines === 0) {
      const { bytes } = this.file
      const room = this.options.segment.maxBytes - bytes
      const taken = this.pending.drain((lines, from) =>
        this.batch.fill(lines, from, room, bytes === 0, (leaf) => tiles.push(leaf)),
      )
      this.full = taken === 0
      if (this.pending.count === 0) this.flushing.clear()
      else this.flushing.raise()
      if (taken === 0) return
    }
    await this.file.write(this.batch.bytes)
    this.batch.clear()
    if (this.signers.any || tiles.size - this.checkpoint.size >= this.options.checkpoint.lines) this.signing.raise()
    else this.signing.arm()
    if (this.options.durability !== 'none') this.syncing.arm()
  }

  private async sync(): Promise<void> {
    await this.file.sync()
    this.durableSize = this.checkpoint.tiles.size
    this.syncing.clear()
    this.waiters.resolveBelow(this.durableSize)
    this.context.grown(this.log)
  }

  /** Only lines that are on disk may be signed: a power loss would else leave a signature over lines that are gone. */
  private async publish(): Promise<void> {
    await this.checkpoint.publish()
    this.signing.clear()
    this.signers.resolveBelow(this.checkpoint.size)
    this.context.grown(this.log)
  }

  private async rotate(): Promise<void> {
    const { tiles, dir } = this.checkpoint
    await this.sync()
    if (this.checkpoint.size < tiles.size) await this.publish()
    await tiles.sync()
    const old = this.file
    this.file = await SegmentFile.create(dir, tiles.size, this.options.mode, this.context.clock.now())
    this.full = false
    const { first, path, bytes } = old
    this.closed.push({ first, path, bytes })
    await old.close().catch(() => {})
    this.tell('audit.rotated', { segment: segmentName(first), first, last: tiles.size - 1, bytes })
  }
}
