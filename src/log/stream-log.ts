// Verifies the lines of one log as they come by in a stream, against the checkpoints between them.
import { parseCheckpoint } from './checkpoint.ts'
import { member } from './envelope.ts'
import { type KeyChange, keyChangeOf } from './key-line.ts'
import { addGap } from './log-report.ts'
import { type Hash, Tree } from './merkle.ts'
import { openNote, type Verifier } from './note.ts'
import type { Pin } from './pins.ts'
import type { CheckpointItem, EventItem } from './stream-items.ts'
import type { StreamKeys } from './stream-keys.ts'
import { StreamPins } from './stream-pins.ts'
import { type Range, StreamLogReport } from './stream-report.ts'
import { StreamRun } from './stream-run.ts'

// Checkpoints that came before their lines. A later one covers what an earlier one does.
const maxAhead = 1000

interface Ahead {
  readonly item: CheckpointItem
  readonly at: number
}

export class StreamLog {
  readonly report: StreamLogReport
  private readonly pins: StreamPins
  private run: StreamRun | undefined
  /** Lines below this one are checked, or told of as what they are. */
  private settled = 0
  private ahead: Ahead[] = []
  /** The largest size that a checkpoint of a known key tells. */
  private covered = 0
  private readonly changes: KeyChange[] = []
  /** Lines that a gap says this stream did not get, by the index of the line that tells it. */
  private readonly told: (Range & { readonly index: number })[] = []

  constructor(
    origin: string,
    private readonly keys: StreamKeys,
    private readonly sink: string,
    pins: readonly Pin[],
  ) {
    this.report = new StreamLogReport(origin)
    this.pins = new StreamPins(pins, this.report)
  }

  /** `at`: number of the line in the stream. */
  line({ index, leaf, event }: EventItem, at: number): void {
    const { report } = this
    if (this.run === undefined) this.begin(index)
    else if (index > this.run.next) this.skip(index)
    const run = this.run!
    if (index < run.next) {
      report.repeated++
      const same = run.had(index, leaf)
      if (same === false) report.add({ line: at, index, fact: 'the line comes again, and is another one' })
      if (same === undefined) report.add({ line: at, index, fact: 'the line comes long after those that follow it' })
      return
    }
    run.push(leaf)
    report.line(index)
    this.hear(event, index)
    this.hold(run)
    if (this.ahead.length > 0) this.settle()
  }

  checkpoint(item: CheckpointItem, at: number): void {
    this.ahead.push({ item, at })
    if (this.ahead.length > maxAhead) this.ahead.shift()
    if (this.run !== undefined) this.settle()
  }

  /** Called once, at the end of the stream. */
  end(): void {
    const { report, run } = this
    const next = run?.next ?? 0
    for (const { item, at } of this.ahead) this.open(item, at)
    const { covered } = this
    if (run !== undefined) {
      if (covered > next) report.miss({ first: next, last: covered - 1 })
      // A checkpoint covers these, and what else it takes to check them is not here.
      const open = Math.max(0, Math.min(covered, next) - this.settled)
      report.unchecked += open
      report.unsigned = next - this.settled - open
    }
    this.pins.end(next)
    report.finish(this.told.filter(({ index }) => index < (report.checkedThrough ?? 0)))
  }

  private begin(index: number): void {
    this.run = new StreamRun(index)
    this.settled = index
    this.hold(this.run)
    this.settle()
  }

  /** Lines that were seen from outside are checked by that. */
  private hold(run: StreamRun): void {
    const size = this.pins.hold(run)
    if (size <= this.settled) return
    this.report.check(size - this.settled, size)
    this.settled = size
  }

  /** Goes on behind lines that are missing. What came before them and is not signed by now cannot be checked any more. */
  private skip(index: number): void {
    const { next } = this.run!
    this.report.unchecked += next - this.settled
    this.report.miss({ first: next, last: index - 1 })
    this.ahead = this.ahead.filter(({ item }) => item.size >= index)
    this.begin(index)
  }

  private hear(event: EventItem['event'], index: number): void {
    addGap(this.report.gaps, event)
    const change = keyChangeOf(event, index)
    if (change !== undefined) this.changes.push(change)
    if (member(event, 'event_name') !== 'audit.gap') return
    const [sink, origin, first, last] = ['sink', 'origin', 'first', 'last'].map((key) => member(event, 'log', key))
    if (sink !== undefined && sink !== this.sink) return
    if (origin !== this.report.origin || typeof first !== 'number' || typeof last !== 'number') return
    // It stands behind what it tells of.
    if (this.report.misses({ first, last })) this.told.push({ first, last, index })
  }

  /** Takes the checkpoints whose lines are here. */
  private settle(): void {
    const { next } = this.run!
    const due = this.ahead.filter(({ item }) => item.size <= next)
    if (due.length === 0) return
    this.ahead = this.ahead.filter(({ item }) => item.size > next)
    for (const { item, at } of due.sort((a, b) => a.item.size - b.item.size)) {
      const opened = this.open(item, at)
      if (opened !== undefined) this.judge(item, opened.root, opened.signer, at)
    }
  }

  /** The root that a checkpoint tells of; undefined, and a problem, if it is not one of this log by a known key. */
  private open(
    { note, origin, size, vkey }: CheckpointItem,
    line: number,
  ): { root: Hash; signer: Verifier } | undefined {
    const fail = (fact: string): undefined => this.report.add({ line, fact: `the checkpoint is not valid: ${fact}` })
    const opened = openNote(Buffer.from(note), this.keys.of(origin, vkey))
    if ('fault' in opened) return fail(opened.fault)
    const checkpoint = parseCheckpoint(opened.text)
    if (checkpoint?.origin !== origin || checkpoint.size !== size || !origin.startsWith(`${opened.signedBy}/`)) {
      return fail(`it is not one of ${origin} at ${size} lines`)
    }
    this.report.signedBy = opened.signedBy
    this.covered = Math.max(this.covered, size)
    this.keys.used(opened.verifier)
    return { root: checkpoint.root, signer: opened.verifier }
  }

  private judge({ size, edge }: CheckpointItem, root: Hash, signer: Verifier, at: number): void {
    const { report } = this
    const run = this.run!
    const found = run.rootAt(size)
    const fresh = size - this.settled
    if (found === root) {
      report.check(fresh, size)
      for (const { from, to, index } of this.changes) {
        if (index < size && from.vkey === signer.vkey) this.keys.trust(report.origin, to)
      }
    } else if (found !== undefined) {
      const lines = fresh > 0 ? `lines ${this.settled} to ${size - 1}` : `the first ${size} lines`
      report.add({ line: at, index: Math.min(this.settled, size), fact: `${lines} are not those that were signed` })
    }
    if (found !== root) {
      // From here on what follows can be checked again, or for the first time.
      const tree = edge === undefined ? undefined : Tree.from(size, edge)
      if (edge !== undefined && tree?.root() !== root) {
        report.add({ line: at, fact: 'the edge of the checkpoint does not yield its root' })
        return
      }
      if (tree === undefined || fresh < 0 || !run.adopt(tree)) return
      if (found === undefined) {
        report.unchecked += fresh
        report.begun ??= size
      }
    }
    this.settled = Math.max(this.settled, size)
    this.hold(run)
  }
}
