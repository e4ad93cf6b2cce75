// The tree of a log that is being written, and the tiles that keep its hashes.
import { mkdir, readFile, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { reasonOf } from '../errors.ts'
import { type Hash, hashBytes, Tree, toHash } from './merkle.ts'
import { writeFile } from './replace-file.ts'
import { isMissing, orMissing, syncDir } from './segments.ts'
import { readTile, tileEdge, tilePath, tileWidth } from './tiles.ts'
import { together } from './together.ts'

/** What of the log is meant: all lines, or those in full tiles, the last 255 or fewer left out. */
export type Extent = 'all' | 'full-tiles'

const lowOf = (extent: Extent): number => (extent === 'all' ? 0 : Math.log2(tileWidth))

/** How many partial tiles that could not be deleted are tried again. */
const mostObsolete = 64

/** A tile that is filled. */
interface Edge {
  readonly bytes: Buffer
  width: number
}

const newEdge = (): Edge => ({ bytes: Buffer.alloc(tileWidth * hashBytes), width: 0 })

const hashesOf = ({ bytes, width }: Edge): Hash[] =>
  Array.from({ length: width }, (_, i) => toHash(bytes, i * hashBytes))

function add(edge: Edge, value: Hash): void {
  edge.bytes.write(value, edge.width * hashBytes, 'latin1')
  edge.width++
}

/**
 * Nothing may be pushed while `save` or `sync` runs. Both may be called again after they failed.
 *
 * Tiles are not fsynced one by one: until a segment is closed they can be computed again from its lines. `sync`, at the end of
 * each segment, makes them durable, and from then on they outlive the lines.
 */
export class TileWriter {
  /** By level: its last, partial tile. Written by push. */
  private readonly edges: Edge[]
  private readonly tree: Tree
  /** Full tiles that are not written yet. */
  private readonly full: { readonly path: string; readonly bytes: Buffer }[] = []
  /** Partial tiles that are on disk: those of the last save, and those of the last sync, which stay until the next. */
  private partials: string[] = []
  private kept: string[] = []
  private readonly obsolete = new Set<string>()
  /** Tiles that are not fsynced, those of them of which an fsync has failed, and folders with names that are not. */
  private readonly unsynced = new Set<string>()
  private readonly doubtful = new Set<string>()
  private readonly folders = new Set<string>()
  /** Folders of partial tiles that were deleted. */
  private readonly emptied = new Set<string>()
  /** Why a partial tile could not be deleted when that was last tried. Written by tidy. */
  clutter: string | undefined
  /** Of how many lines the hashes were saved last. Written by save. */
  savedSize: number

  private constructor(
    private readonly logDir: string,
    private readonly mode: number,
    size: number,
    edges: Edge[],
  ) {
    this.edges = edges
    this.savedSize = size
    this.tree = Tree.resume(
      size,
      (level) => (edges[level] === undefined ? [] : hashesOf(edges[level])),
      (level, value) => this.keep(level, value),
    )
  }

  /** Goes on after `size` lines. Undefined if a tile that this needs cannot be read. */
  static async load(logDir: string, mode: number, size: number): Promise<TileWriter | undefined> {
    const edges: Edge[] = []
    const kept: string[] = []
    for (let level = 0; size >= tileWidth ** level; level++) {
      const { index, width } = tileEdge(size, level)
      const hashes = width === 0 ? [] : await readTile(logDir, level, index, width)
      if (hashes === undefined) return undefined
      const edge = newEdge()
      for (const value of hashes) add(edge, value)
      edges.push(edge)
      if (width > 0) kept.push(tilePath(level, index, width))
    }
    const writer = new TileWriter(logDir, mode, size, edges)
    writer.kept = kept
    for (const path of kept) {
      if ((await orMissing(stat(join(logDir, path)), undefined)) !== undefined) writer.partials.push(path)
    }
    return writer
  }

  get size(): number {
    return this.tree.size
  }

  push(leaf: Hash): void {
    this.tree.push(leaf)
  }

  /** How many lines are meant. */
  sizeOf(extent: Extent): number {
    return extent === 'all' ? this.size : this.size - (this.size % tileWidth)
  }

  root(extent: Extent = 'all'): Hash {
    return this.tree.root(lowOf(extent))
  }

  complete(extent: Extent): Hash[] {
    return this.tree.complete(lowOf(extent))
  }

  /** What `complete` of all lines was before the last one; undefined if that was not pushed here. */
  before(): Hash[] | undefined {
    return this.tree.before()
  }

  private keep(level: number, value: Hash): void {
    this.edges[level] ??= newEdge()
    const edge = this.edges[level]
    add(edge, value)
    if (edge.width < tileWidth) return
    // A level is told before the one above, and the leaf before the size grows: this tile ends at the leaf that is pushed.
    this.full.push({ path: tilePath(level, tileEdge(this.tree.size, level).index), bytes: edge.bytes })
    this.edges[level] = newEdge()
  }

  /** Writes the full tiles that came, and the partial ones: what a checkpoint of this size needs. */
  async save(extent: Extent = 'all'): Promise<void> {
    const partials = [...this.edges.entries()].flatMap(([level, { bytes, width }]) =>
      width === 0 || (level === 0 && extent === 'full-tiles')
        ? []
        : [
            {
              path: tilePath(level, tileEdge(this.size, level).index, width),
              bytes: bytes.subarray(0, width * hashBytes),
            },
          ],
    )
    const fresh = partials.filter(({ path }) => !this.partials.includes(path))
    await together([...this.full, ...fresh], ({ path, bytes }) => this.write(path, bytes))
    this.full.length = 0
    this.savedSize = this.sizeOf(extent)
    const current = partials.map(({ path }) => path)
    for (const path of this.partials) if (!current.includes(path)) this.obsolete.add(path)
    this.partials = current
  }

  /** Says that an earlier writer may have saved this size: its partial tiles are deleted when wider ones replace them. */
  assumeSaved(): void {
    for (const [level, edge] of this.edges.entries()) {
      if (edge.width > 0) this.obsolete.add(tilePath(level, tileEdge(this.size, level).index, edge.width))
    }
  }

  /**
   * Deletes partial tiles that others replaced. Must not be called before the checkpoint of the last save is published. One that cannot
   * be deleted is in nobody's way: it is told of by `clutter`, and tried again with the next ones, unless those are too many.
   */
  async tidy(): Promise<void> {
    let clutter: string | undefined
    for (const path of [...this.kept, ...this.partials]) this.obsolete.delete(path)
    await together(this.obsolete, async (path) => {
      this.unsynced.delete(path)
      this.doubtful.delete(path)
      try {
        await orMissing(unlink(join(this.logDir, path)), undefined)
        this.obsolete.delete(path)
        this.emptied.add(dirname(path))
      } catch (error) {
        clutter = reasonOf(error)
      }
    })
    this.clutter = clutter
    const tooMany = [...this.obsolete].slice(0, -mostObsolete)
    for (const path of tooMany) this.obsolete.delete(path)
  }

  /**
   * Makes all that was saved durable: what lines are deleted for must not be lost with them. On a disk that fails now and then each
   * call gets further than the last one. Tidies up only if the checkpoint of the last save is published.
   */
  async sync(published: boolean): Promise<void> {
    await together(this.unsynced, (path) => this.syncTile(path))
    await together(this.folders, async (path) => {
      await syncDir(join(this.logDir, path))
      this.folders.delete(path)
    })
    for (const path of this.kept) this.obsolete.add(path)
    this.kept = this.partials
    if (!published) return
    await this.tidy()
    // Fails as long as a partial tile is in there.
    await together(this.emptied, (dir) => rmdir(join(this.logDir, dir)).catch(() => {}))
    this.emptied.clear()
  }

  /**
   * When an fsync fails, the system may have dropped what it could not write and call the next one a success: so the tile is
   * written anew before, in its place, for this may fail as well.
   */
  private async syncTile(path: string): Promise<void> {
    const place = join(this.logDir, path)
    if (this.doubtful.has(path)) await writeFile(place, await readFile(place), { flag: 'r+' })
    this.doubtful.add(path)
    // What syncs a folder syncs a file as well.
    await syncDir(place)
    this.doubtful.delete(path)
    this.unsynced.delete(path)
  }

  /** A function that goes on where this one stopped, and until then takes little memory. Must be called after a save. */
  suspend(): () => Promise<TileWriter | undefined> {
    const { logDir, mode, size, kept, obsolete, unsynced, doubtful, folders, emptied } = this
    return async () => {
      const writer = await TileWriter.load(logDir, mode, size)
      if (writer === undefined) return undefined
      writer.kept = kept
      for (const path of obsolete) writer.obsolete.add(path)
      for (const path of unsynced) writer.unsynced.add(path)
      for (const path of doubtful) writer.doubtful.add(path)
      for (const path of folders) writer.folders.add(path)
      for (const path of emptied) writer.emptied.add(path)
      return writer
    }
  }

  private async write(path: string, bytes: Buffer): Promise<void> {
    const place = join(this.logDir, path)
    const put = () => writeFile(place, bytes, { mode: this.mode })
    await put().catch(async (error: unknown) => {
      if (!isMissing(error)) throw error
      await mkdir(dirname(place), { recursive: true, mode: 0o750 })
      await put()
    })
    this.unsynced.add(path)
    for (let dir = dirname(path); dir !== '.'; dir = dirname(dir)) this.folders.add(dir)
  }
}
