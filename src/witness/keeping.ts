// Keeps what a witness holds within its age and its room: whole segments go, the oldest first, and a statement stays.
import type { Clock, Timer } from '../clock.ts'
import { listSegments, type Segment } from '../log/segments.ts'
import { type LogName, logNames } from '../sink.ts'
import { Refusal } from './answer.ts'
import { type Catalogue, logDir, type Origin } from './catalogue.ts'
import type { HeldLog } from './held-log.ts'
import type { Logs } from './logs.ts'

type KeepAge = Readonly<Record<LogName, { readonly maxAgeMs: number }>>

export interface KeepingOptions {
  readonly maxBytes: number
  readonly retention: KeepAge
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

  constructor(
    private readonly catalogue: Catalogue,
    private readonly logs: Logs,
    private readonly options: KeepingOptions,
  ) {}

  /** Looks at what is there, and then once an hour. */
  async start(): Promise<void> {
    for (const entry of this.catalogue.origins.values()) {
      const bytes = (await listSegments(logDir(entry))).reduce((sum, one) => sum + one.bytes, 0)
      this.logs.count(entry, bytes)
    }
    this.later(0)
  }

  /** Refuses lines that there is no room for: their sender keeps them. */
  room(bytes: number): void {
    if (this.logs.bytes + bytes > this.options.maxBytes)
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

  private get excess(): number {
    return this.logs.bytes - (this.options.maxBytes - Math.ceil(this.options.maxBytes / freeShare))
  }

  private later(ms: number): void {
    this.timer = this.options.clock.after(ms, () => {
      void this.run().then(() => {
        if (!this.stopped) this.later(lookMs)
      })
    })
  }

  private async prune(): Promise<void> {
    for (const log of logNames) {
      const oldest = this.options.clock.now() - this.options.retention[log].maxAgeMs
      const entries = [...this.catalogue.origins.values()].filter((entry) => entry.log === log)
      const all = (await Promise.all(entries.map(agedOf))).flat().sort((a, b) => a.segment.at - b.segment.at)
      for (const { entry, segment } of all) {
        if (this.stopped) return
        if (segment.at >= oldest && this.excess <= 0) break
        await this.logs.use(entry, (held) => drop(held, segment))
      }
    }
  }
}

/** The segments of a log that hold lines, each at least as old as the next. */
async function agedOf(entry: Origin): Promise<Aged[]> {
  const segments = await listSegments(logDir(entry))
  return segments.filter(({ bytes }) => bytes > 0).map((segment) => ({ entry, segment }))
}

async function drop(held: HeldLog, { path }: Segment): Promise<void> {
  if (held.current.path === path) await held.rotate()
  const count = held.closed.findIndex((one) => one.path === path) + 1
  if (count > 0) await held.drop(count)
}
