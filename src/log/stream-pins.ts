// Holds one log in a stream against what was seen of it from outside.
import { emptyRoot } from './merkle.ts'
import type { Pin } from './pins.ts'
import type { StreamLogReport } from './stream-report.ts'
import type { StreamRun } from './stream-run.ts'

export class StreamPins {
  /** Those that were not compared yet, the smallest first. */
  private left: Pin[]
  /** Those whose root cannot be known any more. */
  private readonly lost: Pin[] = []
  /** The largest size that was compared. */
  private compared = 0

  constructor(
    pins: readonly Pin[],
    private readonly report: StreamLogReport,
  ) {
    this.left = [...pins].sort((a, b) => a.size - b.size)
  }

  /** Compares what has become known. To be called whenever the run has grown, or got its tree. Returns how many lines are those that were seen. */
  hold(run: StreamRun): number {
    while (this.left.length > 0 && this.left[0]!.size <= run.next && run.rooted) {
      const pin = this.left.shift()!
      const root = pin.size === 0 ? emptyRoot : run.rootAt(pin.size)
      if (root === undefined) {
        this.lost.push(pin)
        continue
      }
      this.compared = pin.size
      if (root === pin.root) this.report.pinned = pin.size
      else this.report.add({ fact: `its first ${pin.size} lines are not those that ${pin.by} has seen` })
    }
    return this.report.pinned ?? 0
  }

  /** `next`: the index behind the last line that came. Of several the last one tells what must be here. */
  end(next: number): void {
    const last = this.left.at(-1)
    if (last !== undefined && last.size > next) {
      const fact = `the stream ends before line ${next}, and ${last.by} has seen ${last.size} lines: its end was taken out`
      this.report.add({ index: next, fact })
      return
    }
    const open = last ?? this.lost.at(-1)
    if (open === undefined || open.size <= this.compared) return
    const fact = `nothing in the stream can be held against the first ${open.size} lines, which ${open.by} has seen`
    this.report.add({ fact: `${fact}: lines before are not here` })
  }
}
