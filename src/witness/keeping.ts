// Keeps what a witness holds within its age and its room: whole segments go, the oldest first, and a statement stays.
import type { Clock, Timer } from '../clock.ts'
import { listSegments, type Segment } from '../log/segments.ts'
import { agesCountFrom } from '../log/steady-time.ts'
import { type LogName, logNames } from '../sink.ts'
import { Refusal } from './answer.ts'
import { type Catalogue, logDir, type Origin } from './catalogue.ts'
import type { HeldLog } from './held-log.ts'
import type { Holds } from './holds.ts'
import type { KeepingTime } from './keeping-time.ts'
import type { Logs } from './logs.ts'

type KeepAge = Readonly<Record<LogName, { readonly maxAgeMs: number }>>

export interface KeepingOptions {
  readonly maxBytes: number
  readonly retention: KeepAge
  readonly holds: Holds
  readonly time: KeepingTime
  readonly clock: Clock
  readonly onFault: (error: unknown) => void
}

const lookMs = 3_600_000
/** What is kept free, so that lines can come while segments go. */
const freeShare = 8

interface Aged {
  readonly entry: Origin
  readonly segment: Segment
}

export class Keeping {
  private timer: Timer | undefined
  private running: Promise<void> | undefined
  private stopped = false
  /** Bytes of the logs that a hold keeps, which take no room from the others. Written by prune. */
  private heldBytes = 0
  /** Before this time nothing is too old. Written by start. */
  private agesFrom = Infinity

  constructor(
    private readonly catalogue: Catalogue,
    private readonly logs: Logs,
    private readonly options: KeepingOptions,
  ) {}

  /** Looks at what is there, and then once an hour. */
  async start(): Promise<void> {
    const newest: Segment[] = []
    for (const entry of this.catalogue.origins.values()) {
      const aged = await agedOf(entry)
      newest.push(...aged.slice(-1).map(({ segment }) => segment))
      const bytes = aged.reduce((sum, { segment }) => sum + segment.bytes, 0)
      this.logs.count(entry, bytes)
    }
    this.agesFrom = agesCountFrom(newest, this.options.time.now())
    this.later(0)
  }

  /** Refuses lines that there is no room for: their sender keeps them. */
  room(bytes: number): void {
    if (this.bytes + bytes > this.options.maxBytes)
      throw new Refusal(507, 'full', 'the witness has no room now', { headers: { 'retry-after': '5' } })
  }

  /** Called when lines have come. */
  grown(): void {
    if (this.excess > 0) void this.run()
  }

  /** Deletes what is too old or too much, until it is done. */
  run(): Promise<void> {
    this.running ??= this.prune()
      .catch(this.options.onFault)
      .finally(() => {
        this.running = undefined
      })
    return this.running
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    await this.running
  }

  private get bytes(): number {
    return this.logs.bytes - this.heldBytes
  }

  private get excess(): number {
    return this.bytes - (this.options.maxBytes - Math.ceil(this.options.maxBytes / freeShare))
  }

  private later(ms: number): void {
    this.timer = this.options.clock.after(ms, () => {
      void this.run().then(() => {
        if (!this.stopped) this.later(lookMs)
      })
    })
  }

  private async prune(): Promise<void> {
    const { holds, retention, time } = this.options
    const origins = [...this.catalogue.origins.values()]
    const held = await holds.among(origins)
    this.heldBytes = [...held].reduce((sum, { bytes }) => sum + bytes, 0)
    const now = time.now() < this.agesFrom ? -Infinity : time.ofFiles
    for (const log of logNames) {
      const oldest = now - retention[log].maxAgeMs
      const entries = origins.filter((entry) => entry.log === log && !held.has(entry))
      const all = (await Promise.all(entries.map(agedOf))).flat().sort((a, b) => a.segment.at - b.segment.at)
      for (const { entry, segment } of all) {
        if (this.stopped) return
        if (segment.at >= oldest && this.excess <= 0) break
        await this.logs.use(entry, (one) => this.drop(one, entry, segment))
      }
    }
  }

  private async drop(log: HeldLog, entry: Origin, { path }: Segment): Promise<void> {
    const mayGo = async (): Promise<boolean> => !(await this.options.holds.keep(entry))
    if (!(await mayGo())) return
    if (log.current.path === path) await log.rotate()
    const count = log.closed.findIndex((one) => one.path === path) + 1
    if (count > 0) await log.drop(count, mayGo)
  }
}

/** The segments of a log that hold lines, each at least as old as the next: one that is dated before those before it is as old as they are. */
async function agedOf(entry: Origin): Promise<Aged[]> {
  const segments = await listSegments(logDir(entry))
  let latest = -Infinity
  return segments
    .filter(({ bytes }) => bytes > 0)
    .map((segment) => {
      latest = Math.max(latest, segment.at)
      return { entry, segment: { ...segment, at: latest } }
    })
}
