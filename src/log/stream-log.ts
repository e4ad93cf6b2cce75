// Verifies the lines of one log as they come by in a stream, against the checkpoints between them.
import { parseCheckpoint } from './checkpoint.ts'
import { member } from './envelope.ts'
import { keyChangeOf } from './key-line.ts'
import { addGap } from './log-report.ts'
import { type Hash, Tree } from './merkle.ts'
import { openNote, type Verifier } from './note.ts'
import type { Pin } from './pins.ts'
import { StreamClaims } from './stream-claims.ts'
import type { CheckpointItem, EventItem, HashesItem } from './stream-items.ts'
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
  private readonly claims = new StreamClaims()
  private run: StreamRun | undefined
  /** Lines below this one are checked, or told of as what they are. */
  private settled = 0
  /** Those behind of which only the hash came. */
  private hashed: number[] = []
  private ahead: Ahead[] = []
  /** How far checkpoints before the first line say that the stream had come: the least, and the most. */
  private reached: Range | undefined

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
    const run = this.runAt(index)
    if (index < run.next) return this.again(index, run.had(index, leaf), at)
    run.push(leaf)
    report.line(index)
    addGap(report.gaps, event)
    this.claims.add({ index, leaf, change: keyChangeOf(event, index), gap: this.gapOf(event) })
    this.grown(run)
  }

  /** Of lines that do not come, so that what is behind can be checked all the same. */
  hashes({ first, leaves }: HashesItem, at: number): void {
    const run = this.runAt(first)
    const { next } = run
    for (const [i, leaf] of leaves.entries()) {
      const index = first + i
      if (index >= next) {
        run.push(leaf)
        this.hashed.push(index)
      } else if (run.had(index, leaf) === false) {
        this.report.add({ line: at, index, fact: 'the hash is not that of the line' })
      }
    }
    if (run.next > next) this.report.miss({ first: next, last: run.next - 1 })
    this.grown(run)
  }

  checkpoint(item: CheckpointItem, at: number): void {
    this.ahead.push({ item, at })
    if (this.ahead.length > maxAhead) this.ahead.shift()
    if (this.run !== undefined) this.settle()
  }

  /** Called once, at the end of the stream. */
  end(): void {
    const { report, run, claims } = this
    const next = run?.next ?? 0
    for (const { item, at } of this.ahead) this.open(item, at)
    const { covered = 0 } = report
    if (run !== undefined) {
      if (covered > next) report.miss({ first: next, last: covered - 1 })
      // A checkpoint covers these, and what else it takes to check them is not here.
      report.unchecked += this.pass(Math.min(covered, next), false)
      report.unsigned = this.pass(next, false)
    } else if (this.reached !== undefined && this.reached.first < this.reached.last) {
      report.miss({ first: this.reached.first, last: this.reached.last - 1 })
    }
    this.pins.end(next)
    report.finish(claims.told, (range) => claims.tellingOf(range))
  }

  /** The run that takes this line, or has taken it. */
  private runAt(index: number): StreamRun {
    if (this.run === undefined) {
      this.begin(index)
      // Checkpoints before it say that the stream had come less far.
      if (this.reached !== undefined && this.reached.first < index) {
        this.report.miss({ first: this.reached.first, last: index - 1 })
      }
    } else if (index > this.run.next) this.skip(index)
    return this.run!
  }

  private begin(index: number): void {
    this.run = new StreamRun(index)
    this.settled = index
    this.hold(this.run)
    this.settle()
  }

  private grown(run: StreamRun): void {
    this.hold(run)
    if (this.ahead.length > 0) this.settle()
  }

  private again(index: number, same: boolean | undefined, at: number): void {
    const { report, run } = this
    const late = report.late(index)
    if (!late) report.repeated++
    const add = (fact: string) => report.add({ line: at, index, fact })
    if (same === false) add('the line comes again, and is another one')
    else if (late) add(`the line stands behind line ${run!.next - 1}`)
    else if (same === undefined) add('the line comes long after those that follow it')
  }

  /** Settles what is below `size`. Returns how many lines of it came. */
  private pass(size: number, proved: boolean): number {
    if (size <= this.settled) return 0
    const behind = this.hashed.filter((index) => index >= size)
    const came = size - this.settled - (this.hashed.length - behind.length)
    this.hashed = behind
    this.settled = size
    this.claims.settle(size, proved)
    return came
  }

  /** Lines that were seen from outside are checked by that. */
  private hold(run: StreamRun): void {
    const size = this.pins.hold(run)
    if (size <= this.settled) return
    const { report, keys, claims } = this
    report.check(this.pass(size, true), size)
    for (const change of claims.changesOf(report.origin)) keys.follow(report.origin, change)
  }

  /** Goes on behind lines that are missing. What came before them and is not signed by now cannot be checked any more. */
  private skip(index: number): void {
    const { next } = this.run!
    this.report.unchecked += this.pass(next, false)
    this.report.miss({ first: next, last: index - 1 })
    this.ahead = this.ahead.filter(({ item }) => item.size >= index)
    this.begin(index)
  }

  /** Lines that an event says this stream did not get, if that is so. It stands behind what it tells of. */
  private gapOf(event: EventItem['event']): Range | undefined {
    if (member(event, 'event_name') !== 'audit.gap') return undefined
    const [sink, origin, first, last] = ['sink', 'origin', 'first', 'last'].map((key) => member(event, 'log', key))
    if (sink !== undefined && sink !== this.sink) return undefined
    if (origin !== this.report.origin || typeof first !== 'number' || typeof last !== 'number') return undefined
    return this.report.misses({ first, last }) ? { first, last } : undefined
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
    { note, origin, size, vkey, reached }: CheckpointItem,
    line: number,
  ): { root: Hash; signer: Verifier } | undefined {
    const { report, claims } = this
    const fail = (fact: string): undefined => report.add({ line, fact: `the checkpoint is not valid: ${fact}` })
    const opened = openNote(Buffer.from(note), this.keys.of(origin, vkey))
    if ('fault' in opened) {
      const naming = opened.unknown ? claims.naming(vkey) : undefined
      if (naming === undefined) return fail(opened.fault)
      return fail(`${opened.fault}; line ${naming} names its key, and nothing signed covers that line`)
    }
    const checkpoint = parseCheckpoint(opened.text)
    if (checkpoint?.origin !== origin || checkpoint.size !== size || !origin.startsWith(`${opened.signedBy}/`)) {
      return fail(`it is not one of ${origin} at ${size} lines`)
    }
    report.covered = Math.max(report.covered ?? 0, size)
    this.keys.used(opened.verifier)
    if (report.first === undefined) {
      const { first, last } = this.reached ?? { first: reached, last: reached }
      this.reached = { first: Math.min(first, reached), last: Math.max(last, reached) }
    }
    return { root: checkpoint.root, signer: opened.verifier }
  }

  private judge({ size, edge, edgeBefore }: CheckpointItem, root: Hash, signer: Verifier, at: number): void {
    const { report, claims, keys } = this
    const run = this.run!
    const found = run.rootAt(size)
    if (found === root) {
      if (size > run.from) report.signedBy = signer.name
      report.check(this.pass(size, true), size)
    }
    claims.proveLast(size, root, edgeBefore)
    for (const key of claims.successors(signer, size)) keys.trust(report.origin, key)
    if (found === root) return this.hold(run)
    const fresh = size > this.settled
    if (found !== undefined) {
      const lines = fresh ? `lines ${this.settled} to ${size - 1}` : `the first ${size} lines`
      report.add({ line: at, index: Math.min(this.settled, size), fact: `${lines} are not those that were signed` })
    }
    // From here on what follows can be checked again, or for the first time.
    const tree = edge === undefined ? undefined : Tree.from(size, edge)
    if (edge !== undefined && tree?.root() !== root) {
      report.add({ line: at, fact: 'the edge of the checkpoint does not yield its root' })
      return
    }
    if (tree === undefined || size < this.settled || !run.adopt(tree)) return
    const passed = this.pass(size, false)
    if (found === undefined) {
      report.unchecked += passed
      report.begun ??= size
    }
    this.hold(run)
  }
}
