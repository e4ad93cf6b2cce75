// Holds lines against the hash tiles, and the tiles against the signed root.
import { join } from 'node:path'
import { checkpointPath } from './checkpoint-file.ts'
import type { LogProblem, LogReport } from './log-report.ts'
import { emptyRoot, type Hash, Tree } from './merkle.ts'
import { readTile, tileEdge, tilePath, tileWidth } from './tiles.ts'

// What is kept of differences until the root tells what they mean. All are counted.
const maxKept = 100

/** Where a line stands. */
export interface LinePlace {
  readonly file: string
  readonly line: number
  readonly index: number
}

interface LeafTile {
  readonly index: number
  readonly hashes: readonly Hash[] | undefined
}

/**
 * When a line and its hash differ, either may be the altered one: two trees are then built, one of the tiles and one of the lines,
 * and the signed root says which of them is true.
 */
export class HashAudit {
  private next = 0
  private tile: LeafTile | undefined
  /** The one that was looked into last, out of order. */
  private other: LeafTile | undefined
  private readonly ofTiles = new Tree((level, value) => this.collect(level, value))
  /** Apart from the first tree from the first difference on. */
  private ofLines: Tree | undefined
  private readonly differences: LinePlace[] = []
  private differenceCount = 0
  /** By level: hashes that the tiles below yield, and how many tiles of them were compared. */
  private readonly rows: { hashes: Hash[]; compared: number }[] = []
  private readonly upperProblems: LogProblem[] = []
  /** Sizes whose root is asked for, in order, and what it was by the tiles and by the lines. */
  private readonly asked: readonly number[]
  private readonly found = new Map<number, readonly [ofTiles: Hash, ofLines: Hash]>()
  private truth: 'tiles' | 'lines' | undefined

  constructor(
    private readonly dir: string,
    private readonly size: number,
    private readonly report: LogReport,
    sizes: readonly number[] = [],
  ) {
    this.asked = [...new Set(sizes)].sort((a, b) => a - b)
    this.mark(0)
  }

  /** Takes the leaf of a signed line if it is the one that was kept of it; false otherwise. Lines that were left out count as skipped. */
  async confirms(index: number, leaf: Hash): Promise<boolean> {
    const kept = await this.at(index)
    if ((kept ?? leaf) !== leaf) return false
    // A line that stands in two segments is compared twice, and belongs to the trees once.
    if (index === this.next) await this.push(leaf, leaf)
    return true
  }

  /** Takes the leaf of a signed line that is not the one that was kept of it. */
  async differs(index: number, leaf: Hash, place: LinePlace): Promise<void> {
    const kept = await this.at(index)
    if (++this.differenceCount <= maxKept) this.differences.push(place)
    if (index !== this.next) return
    this.ofLines ??= this.ofTiles.fork()
    await this.push(kept!, leaf)
  }

  /** The leaf that was kept of any signed line; undefined if its tile is missing. */
  async keptAt(index: number): Promise<Hash | undefined> {
    const number = Math.floor(index / tileWidth)
    if (number !== this.other?.index) this.other = { index: number, hashes: await this.read(number) }
    return this.other.hashes?.[index % tileWidth]
  }

  /** Goes on at `index`; for the lines up to there, which are deleted, their hashes stand alone. */
  async skip(index: number): Promise<void> {
    while (this.next < index) {
      const number = Math.floor(this.next / tileWidth)
      if (number !== this.tile?.index) await this.load(number)
      const kept = this.tile?.hashes?.[this.next % tileWidth] ?? emptyRoot
      await this.push(kept, kept)
    }
  }

  /** Tells what the differences mean. Called once, behind the last signed line. */
  async finish(root: Hash): Promise<void> {
    await this.compareRows(true)
    const tilesAreTrue = this.ofTiles.root() === root
    const linesAreTrue = !tilesAreTrue && this.ofLines?.root() === root
    this.truth = tilesAreTrue ? 'tiles' : linesAreTrue ? 'lines' : undefined
    for (const { file, line, index } of this.differences) {
      const tile = this.pathOf(0, Math.floor(index / tileWidth))
      if (linesAreTrue)
        this.report.add({ file: tile, index, fact: 'the hash is not that of the line, which is the signed one' })
      else if (tilesAreTrue) this.report.add({ file, line, index, fact: 'the line is not the one that was signed' })
      else this.report.add({ file, line, index, fact: 'the line does not match its hash' })
    }
    this.report.problemCount += this.differenceCount - this.differences.length
    if (tilesAreTrue) for (const problem of this.upperProblems) this.report.add(problem)
    else if (!linesAreTrue) {
      this.report.add({ file: checkpointPath(this.dir), fact: 'the lines and hashes do not yield the signed root' })
    }
  }

  /** Whether the first `size` lines have this root; undefined if so many are not signed. For sizes that were asked for, after `finish`. */
  hasRoot(size: number, root: Hash): boolean | undefined {
    const found = this.found.get(size)
    if (found === undefined) return undefined
    const [ofTiles, ofLines] = found
    if (this.truth === undefined) return ofTiles === root || ofLines === root
    return (this.truth === 'tiles' ? ofTiles : ofLines) === root
  }

  private async push(kept: Hash, leaf: Hash): Promise<void> {
    this.ofLines?.push(leaf)
    this.ofTiles.push(kept)
    this.mark(++this.next)
    if (this.next % tileWidth === 0) await this.compareRows()
  }

  private mark(size: number): void {
    if (this.asked[this.found.size] !== size) return
    const ofTiles = this.ofTiles.root()
    this.found.set(size, [ofTiles, this.ofLines?.root() ?? ofTiles])
  }

  /** The leaf that was kept of a line; goes on there. */
  private async at(index: number): Promise<Hash | undefined> {
    if (index > this.next) await this.skip(index)
    const number = Math.floor(index / tileWidth)
    if (number !== this.tile?.index) await this.load(number)
    return this.tile?.hashes?.[index % tileWidth]
  }

  private async load(index: number): Promise<void> {
    const hashes = await this.read(index)
    this.tile = { index, hashes }
    if (hashes === undefined) this.missing(0, index)
  }

  private read(index: number): Promise<Hash[] | undefined> {
    return readTile(this.dir, 0, index, Math.min(tileWidth, this.size - index * tileWidth))
  }

  private missing(level: number, index: number): void {
    this.report.add({ file: this.pathOf(level, index), fact: 'the hashes are missing or cut off' })
  }

  /** The tile that a log of this size has; a writer at work may have a wider one by now. */
  private pathOf(level: number, index: number): string {
    const edge = tileEdge(this.size, level)
    return join(this.dir, tilePath(level, index, index === edge.index ? edge.width : tileWidth))
  }

  private collect(level: number, value: Hash): void {
    if (level === 0) return
    this.rows[level] ??= { hashes: [], compared: 0 }
    this.rows[level].hashes.push(value)
  }

  /** Compares the tiles above level 0 that are full, or all. Only the root tells whether what is below them is true. */
  private async compareRows(all = false): Promise<void> {
    for (const [level, row] of this.rows.entries()) {
      if (row === undefined || (row.hashes.length < tileWidth && !(all && row.hashes.length > 0))) continue
      const kept = await readTile(this.dir, level, row.compared, row.hashes.length)
      if (kept === undefined) this.missing(level, row.compared)
      else if (row.hashes.some((one, i) => one !== kept[i])) {
        this.upperProblems.push({
          file: this.pathOf(level, row.compared),
          fact: 'the hashes are not those of the tiles below',
        })
      }
      row.hashes = []
      row.compared++
    }
  }
}
