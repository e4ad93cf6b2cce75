// When one log does what. One job at a time: look, write, rotate, fsync, or publish a checkpoint.
import { BalancerError } from '../errors.ts'
import type { LogName } from '../sink.ts'
import { Alarm } from './alarm.ts'
import { Checkpoints } from './checkpoints.ts'
import { type Job, Jobs } from './jobs.ts'
import type { Recovered } from './recovery.ts'
import { repair } from './repair.ts'
import { SegmentWriter } from './segment-writer.ts'
import { segmentName } from './segments.ts'
import type { Extent, TileWriter } from './tile-writer.ts'
import { tileWidth } from './tiles.ts'
import { Waiters } from './waiters.ts'
import type { WriterContext, WriterOptions } from './writer-context.ts'

// A write for each line would cost more than the line: each wakes a thread, and then the event loop.
const coalesceMs = 25
const eagerBytes = 1_048_576
// Behind the write: a line is fsynced 100 ms after it came.
const syncMs = 75

export class Schedule {
  readonly tiles: TileWriter
  readonly segments: SegmentWriter
  readonly checkpoints: Checkpoints
  /** Those who wait for an fsync. */
  readonly waiters = new Waiters()
  /** Those who wait for a checkpoint. */
  readonly signers = new Waiters()
  /** Lines that are fsynced. Written by sync. */
  durableSize: number
  /** Lines below wait for no fsync and no checkpoint to be written; those after do, for they may come without end. Written by write. */
  private roundEnd = 0
  private readonly flushing: Alarm
  private readonly syncing: Alarm
  private readonly signing: Alarm
  /** Those who wait for a new segment. */
  private readonly rotations = new Waiters()
  /** Whether a look was asked for. Written by look and close, and by the job. */
  private lookDue = false
  private closing = false
  private stopped = false
  private onIdle: () => void = () => {}
  private readonly jobs: Jobs
  readonly kick: () => void
  private readonly todo = {
    inspect: () => this.inspect(),
    write: () => this.write(),
    rotate: () => this.rotate(),
    sync: () => this.sync(),
    publish: () => this.publish(),
  }

  constructor(
    private readonly log: LogName,
    private readonly recovered: Recovered,
    private readonly options: WriterOptions,
    private readonly context: WriterContext,
  ) {
    const { dir, origin, standing, tiles, signedSize, handOvers, file, closed } = recovered
    const { clock, now, logger, reserve } = context
    const { mode, segment } = options
    const rescue = (error: unknown) => reserve.release(log, error)
    this.jobs = new Jobs({
      name: origin,
      clock,
      logger,
      next: () => this.job(),
      rescue,
      changed: (fault) => context.wrote(log, fault),
      idle: () => this.idle(),
    })
    this.kick = this.jobs.kick
    this.tiles = tiles
    this.segments = new SegmentWriter({ dir, tiles, mode, ...segment, now }, file, closed)
    const { signing } = standing
    const facts = { dir, origin, tiles, mode, clock, signing, size: signedSize, handOvers }
    const changed = (fault: string | undefined) => context.published(log, fault)
    this.checkpoints = new Checkpoints({ ...facts, onReady: this.kick, rescue, changed })
    this.durableSize = signedSize
    // It holds the process: one that ends by itself still writes its last lines.
    this.flushing = new Alarm(clock, coalesceMs, this.kick, true)
    this.syncing = new Alarm(clock, syncMs, this.kick)
    this.signing = new Alarm(clock, options.checkpoint.intervalMs, this.kick)
    // Whole lines that the last process could not sign any more.
    if (tiles.size > signedSize) this.signing.raise()
    this.kick()
  }

  get fault(): string | undefined {
    return this.jobs.fault
  }

  /** Takes a line, which is written soon. Returns false, and does not take it, when too much waits. */
  push(line: string): boolean {
    if (this.closing || !this.segments.push(line)) return false
    if (this.segments.waitingBytes >= eagerBytes) this.kick()
    else this.flushing.arm()
    return true
  }

  /** A checkpoint is made soon, and not only when its time has come. */
  hurryCheckpoint(): void {
    this.signing.raise()
    // Those who ask within one turn share one.
    queueMicrotask(this.kick)
  }

  look(): void {
    this.lookDue = true
    this.kick()
  }

  closeSegment(): Promise<void> {
    const closed = this.rotations.add(0)
    this.kick()
    return closed
  }

  /** Does all that is left to do, for at most as long as `limit` lets it. Returns whether the system has not answered a call. */
  async close(limit: (idle: Promise<void>) => Promise<void>): Promise<boolean> {
    this.closing = true
    this.lookDue = true
    this.checkpoints.close()
    const idle = new Promise<void>((resolve) => {
      this.onIdle = resolve
    })
    this.jobs.hold = true
    this.jobs.hurry()
    await limit(idle)
    this.stopped = true
    this.jobs.stop()
    this.rotations.resolveBelow(1)
    for (const alarm of [this.flushing, this.syncing, this.signing]) alarm.clear()
    const { running } = this.jobs
    if (!running) await this.closeFile()
    return running
  }

  private closeFile(): Promise<void> {
    return this.segments.file.close().catch(() => {})
  }

  private idle(): void {
    if (this.stopped) void this.closeFile()
    else if (!this.checkpoints.waits) this.onIdle()
  }

  /** What is to be done next. */
  private job(): Job | undefined {
    const { segments, checkpoints, todo } = this
    if (this.lookDue) return todo.inspect
    if (segments.batched) return todo.write
    if (segments.waiting > 0 ? segments.rotationDue : this.rotations.any) return todo.rotate
    const urgent = this.closing || this.waiters.any
    const eager = urgent || this.flushing.due || segments.waitingBytes >= eagerBytes
    const write = eager && segments.waiting > 0 ? todo.write : undefined
    const written = this.tiles.size
    if (written < this.roundEnd && write !== undefined) return write
    const sign = (this.closing || this.signing.due || this.manyUnsigned || checkpoints.urgent) && checkpoints.possible
    if (this.durableSize < written && (urgent || sign || this.syncing.due)) return todo.sync
    return sign ? todo.publish : write
  }

  private async write(): Promise<void> {
    const { segments, checkpoints, options } = this
    if (this.context.reserve.out) await this.context.reserve.admit(this.log)
    const before = segments.size
    // Lines that come meanwhile have time of their own.
    const end = this.tiles.size + segments.waiting
    if (this.tiles.size >= this.roundEnd) this.roundEnd = end
    this.flushing.clear()
    await segments.write(checkpoints.limit)
    if (this.tiles.size < end) this.flushing.raise()
    if (segments.size === before) return
    checkpoints.grown()
    if (this.signers.any) this.signing.raise()
    else this.signing.arm()
    if (options.durability !== 'none') this.syncing.arm()
  }

  private async sync(): Promise<void> {
    await this.segments.sync()
    this.durableSize = this.tiles.size
    this.syncing.clear()
    this.waiters.resolveBelow(this.durableSize)
    this.context.grown(this.log)
  }

  /** Where lines are fsynced anyway, a checkpoint by their number waits for that, and needs no fsync of its own. */
  private get manyUnsigned(): boolean {
    const { durability, checkpoint } = this.options
    const size = durability === 'none' ? this.tiles.size : this.durableSize
    return size - this.checkpoints.size >= checkpoint.lines
  }

  /** A partial tile costs as much as a full one, and is of use until the next checkpoint: where no time is up it can wait. */
  private get extent(): Extent {
    const partial = this.closing || this.signing.due || this.options.checkpoint.lines < tileWidth
    return partial || !this.manyUnsigned ? 'all' : 'full-tiles'
  }

  private async publish(extent = this.extent): Promise<void> {
    const { checkpoints, tiles } = this
    await checkpoints.publish(extent)
    // The key takes its time, or the disk: what is signed is published when they have.
    if (checkpoints.waits) return
    // Lines that are left out wait no longer than others: their time is on.
    if (extent === 'all' || checkpoints.size === tiles.size) this.signing.clear()
    this.signers.resolveBelow(checkpoints.size)
    this.context.grown(this.log)
    if (checkpoints.size < tiles.size) this.signing.arm()
  }

  private async rotate(): Promise<void> {
    const { segments, checkpoints, tiles } = this
    const begun = segments.file.bytes > 0
    if (begun) await this.sync()
    if (begun && checkpoints.possible) await this.publish('all')
    const closed = begun ? await segments.rotate(checkpoints.size === tiles.size) : undefined
    // Not before: one that fails is done again.
    this.rotations.resolveBelow(1)
    if (closed === undefined) return
    const { first, bytes } = closed
    const facts = { segment: segmentName(first), first, last: tiles.size - 1, bytes }
    this.context.notify({ event: 'audit.rotated', log: this.log, facts })
  }

  /** Holds the segment that is written to against its name, and puts right what others have done to it. */
  private async inspect(): Promise<void> {
    const { segments, recovered, context } = this
    const repaired = await repair(recovered.dir, segments.file, segments.size, this.options.mode)
    if (repaired === undefined) {
      this.lookDue = false
      return
    }
    const { file, facts, cut } = repaired
    segments.file = file
    if (cut !== undefined) {
      const { left, first, last } = cut
      if (left !== undefined) segments.closed.push(left)
      const lost = new BalancerError('audit-unavailable', `lines ${first} to ${last} are lost`)
      this.waiters.rejectBetween(first, last, lost)
      this.signing.raise()
    }
    context.logger.error({ log: recovered.origin, ...facts }, 'somebody has changed the segment that is being written')
    context.notify({ event: 'audit.recovered', log: this.log, facts })
  }
}
