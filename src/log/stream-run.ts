// Consecutive lines of one log in a stream, and the tree that they grow, from the first line or from a checkpoint on.
import { type Hash, Tree } from './merkle.ts'

// Lines that come again, and checkpoints that come late, are compared within so many lines.
const window = 16_384

export class StreamRun {
  /** Leaves from `low` to `next`. */
  private leaves: Hash[] = []
  private low: number
  /** The tree of the lines below `low`; undefined as long as nothing tells what is before the run. */
  private base: Tree | undefined
  /** The size of the tree that it goes on from: what is behind can be checked. */
  from = 0
  /** A tree on the way to the next checkpoint: what was asked for last. */
  private recent: Tree | undefined

  constructor(first: number) {
    this.low = first
    if (first === 0) this.base = new Tree()
  }

  get next(): number {
    return this.low + this.leaves.length
  }

  /** Whether roots can be computed. */
  get rooted(): boolean {
    return this.base !== undefined
  }

  push(leaf: Hash): void {
    this.leaves.push(leaf)
    if (this.leaves.length < 2 * window) return
    for (const old of this.leaves.splice(0, window)) this.base?.push(old)
    this.low += window
  }

  /** Whether a line that came before had this leaf; undefined if that is too long ago. */
  had(index: number, leaf: Hash): boolean | undefined {
    const kept = this.leaves[index - this.low]
    return kept === undefined ? undefined : kept === leaf
  }

  /** The root of the first `size` lines; undefined if it is not known, or too long ago. */
  rootAt(size: number): Hash | undefined {
    if (this.base === undefined || size < this.low || size > this.next) return undefined
    const near = this.recent !== undefined && this.recent.size >= this.low && this.recent.size <= size
    const tree = near ? this.recent! : this.base.fork()
    while (tree.size < size) tree.push(this.leaves[tree.size - this.low]!)
    this.recent = tree
    return tree.root()
  }

  /** Goes on from a tree that a checkpoint tells, which must end within the run. False if it does not. */
  adopt(tree: Tree): boolean {
    if (tree.size < this.low || tree.size > this.next) return false
    this.leaves.splice(0, tree.size - this.low)
    this.low = tree.size
    this.base = tree
    this.from = tree.size
    this.recent = undefined
    return true
  }
}
