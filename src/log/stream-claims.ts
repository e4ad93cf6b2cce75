// What lines say about the stream itself: who signs from now on, and which lines did not come. Anybody can write such a line, so it counts
// only once the line is known to be of the log.
import type { KeyChange } from './key-line.ts'
import { type Hash, Tree } from './merkle.ts'
import type { Verifier } from './note.ts'
import type { Range } from './stream-report.ts'

// Checkpoints come each second: so many lines of this kind do not wait for one.
const maxOpen = 1000

export interface Claim {
  readonly index: number
  readonly leaf: Hash
  readonly change: KeyChange | undefined
  readonly gap: Range | undefined
}

export class StreamClaims {
  /** Of lines that wait for a checkpoint. */
  private open: Claim[] = []
  /** Of lines that nothing can be held against. */
  private doubtful: Claim[] = []
  private readonly changes: KeyChange[] = []
  /** Lines that did not come, as lines of the log tell. */
  readonly told: Range[] = []

  add(claim: Claim): void {
    if (claim.change === undefined && claim.gap === undefined) return
    this.open.push(claim)
    if (this.open.length > maxOpen) this.open.shift()
  }

  /** All below `size` are now known to be lines of the log, or never will be. */
  settle(size: number, proved: boolean): void {
    const due = this.open.filter(({ index }) => index < size)
    if (due.length === 0) return
    this.open = this.open.filter(({ index }) => index >= size)
    if (proved) for (const claim of due) this.prove(claim)
    else this.doubtful = [...this.doubtful, ...due].slice(-maxOpen)
  }

  /** The last line of a tree can be proved by what the tree was before it, wherever the stream begins. */
  proveLast(size: number, root: Hash, edgeBefore: readonly Hash[] | undefined): void {
    const last = [...this.open, ...this.doubtful].find(({ index }) => index === size - 1)
    if (last === undefined || edgeBefore === undefined) return
    const tree = Tree.from(size - 1, edgeBefore)
    tree?.push(last.leaf)
    if (tree?.root() !== root) return
    this.open = this.open.filter((claim) => claim !== last)
    this.doubtful = this.doubtful.filter((claim) => claim !== last)
    this.prove(last)
  }

  private prove({ change, gap }: Claim): void {
    if (change !== undefined) this.changes.push(change)
    if (gap !== undefined) this.told.push(gap)
  }

  /** Keys that the signer of a tree of this size has handed over to in it. */
  successors({ vkey }: Verifier, size: number): Verifier[] {
    return this.changes.filter(({ index, from }) => index < size && from.vkey === vkey).map(({ to }) => to)
  }

  /** Changes of the keys of one writer. */
  changesOf(origin: string): KeyChange[] {
    return this.changes.filter(({ from }) => origin.startsWith(`${from.name}/`))
  }

  /** The line that names this key, and does not count. */
  naming(vkey: string): number | undefined {
    return [...this.open, ...this.doubtful].find(({ change }) => change?.to.vkey === vkey)?.index
  }

  /** The line that tells that some of these did not come, and does not count. */
  tellingOf({ first, last }: Range): number | undefined {
    const all = [...this.open, ...this.doubtful]
    return all.find(({ gap }) => gap !== undefined && gap.first <= last && gap.last >= first)?.index
  }
}
