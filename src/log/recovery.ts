// Opens a log for writing: begins it, goes on with it, or sets it aside when signed lines are gone.
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { randomHex } from '../random.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { CheckpointFile, checkpointPath } from './checkpoint-file.ts'
import { openNote, parseVkey, type Signer } from './note.ts'
import { type Replayed, replay } from './replay.ts'
import { SegmentFile } from './segment-file.ts'
import { listSegments, orMissing, type Segment, syncDir } from './segments.ts'
import { TileWriter } from './tile-writer.ts'
import { tear } from './torn.ts'

export interface RecoveryOptions {
  readonly signer: Signer
  /** What the origin begins with: `<service>/<instance>/<log>/`. */
  readonly prefix: string
  readonly mode: number
  /** Wall time in ms. */
  readonly now: number
  /** The verifier key as it was published before: kept with a log that is set aside. */
  readonly oldVkey: string | undefined
}

/** A log that is ready to be written to. */
export interface Recovered {
  readonly dir: string
  readonly origin: string
  readonly signer: Signer
  readonly tiles: TileWriter
  readonly file: SegmentFile
  readonly closed: Segment[]
  /** How many lines the checkpoint covers. */
  readonly signedSize: number
  /** What was not as a clean close leaves it. */
  readonly facts?: Readonly<Record<string, string | number>>
}

/**
 * Always makes progress. What follows the last whole and valid line is moved beside its segment; whole lines that no
 * checkpoint covers yet are kept. When signed lines are found missing or altered, the whole log is renamed and one of a new
 * origin begins: a writer must never sign two histories of one origin. Only the last segment is read for that, unless the
 * tiles do not fit it.
 */
export async function recoverLog(dir: string, options: RecoveryOptions): Promise<Recovered> {
  const found = await inspect(dir, options)
  if (found === undefined) {
    const begun = await begin(dir, options)
    // The key is published once all logs are there: with a key, one that is not there was there before.
    return options.oldVkey === undefined ? begun : { ...begun, facts: { reason: 'the log is missing' } }
  }
  if ('fault' in found) return setAside(dir, found.fault, options)
  const { checkpoint, segments } = found
  if (segments.length === 0 && checkpoint.size === 0) return begin(dir, options, checkpoint.origin)
  const replayed = await replayFromTiles(dir, segments, checkpoint, options.mode)
  if (typeof replayed === 'string') return setAside(dir, replayed, options)
  return goOn(dir, checkpoint, segments, replayed, options)
}

/** Undefined for a log that does not exist yet; an unfinished beginning counts as none. */
async function inspect(
  dir: string,
  { signer, prefix }: RecoveryOptions,
): Promise<{ fault: string } | { checkpoint: Checkpoint; segments: Segment[] } | undefined> {
  const segments = await listSegments(dir)
  const note = await orMissing(readFile(checkpointPath(dir)), undefined)
  if (note === undefined) {
    const tiles = await orMissing(readdir(join(dir, 'tile')), undefined)
    if (tiles === undefined && segments.every((one) => one.bytes === 0)) return undefined
    return { fault: 'the checkpoint is missing' }
  }
  const opened = openNote(note, [parseVkey(signer.vkey)])
  if ('fault' in opened) return { fault: `the checkpoint is not valid: ${opened.fault}` }
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint === undefined) return { fault: 'the checkpoint is not valid: it has no origin, size and root' }
  if (!checkpoint.origin.startsWith(prefix)) return { fault: `the checkpoint is of another log: ${checkpoint.origin}` }
  return { checkpoint, segments }
}

async function begin(dir: string, options: RecoveryOptions, known?: string): Promise<Recovered> {
  const origin = known ?? `${options.prefix}${randomHex(8)}`
  await mkdir(dir, { recursive: true, mode: 0o750 })
  const tiles = (await TileWriter.load(dir, options.mode, 0))!
  // A log has a checkpoint from its first moment: one without is never new, but has lost it.
  if (known === undefined) await new CheckpointFile(dir, origin, options.signer, tiles, options.mode).publish()
  const file = await SegmentFile.create(dir, 0, options.mode, options.now)
  await syncDir(dir)
  return { dir, origin, signer: options.signer, tiles, file, closed: [], signedSize: 0 }
}

/**
 * Reads the lines of the last segment that has signed ones, and of what follows it, with the tiles for what is before. If that
 * does not fit the checkpoint, the tiles may be what is damaged: then all lines are read. So what is altered in earlier
 * segments is not found here; `verifyLog` reads them all.
 */
async function replayFromTiles(
  dir: string,
  segments: readonly Segment[],
  checkpoint: Checkpoint,
  mode: number,
): Promise<Replayed | string> {
  const last = segments.findLastIndex((one) => one.first <= checkpoint.size)
  if (last < 0) return 'lines that the checkpoint covers are missing'
  const replayed = await replay(dir, segments.slice(last), checkpoint, mode)
  return typeof replayed === 'string' && last > 0 ? replay(dir, segments, checkpoint, mode) : replayed
}

async function goOn(
  dir: string,
  checkpoint: Checkpoint,
  segments: readonly Segment[],
  { tiles, torn }: Replayed,
  options: RecoveryOptions,
): Promise<Recovered> {
  const facts: Record<string, string | number> = {}
  const unsigned = tiles.size - checkpoint.size
  if (unsigned > 0) facts.unsigned_lines = unsigned
  if (torn !== undefined) Object.assign(facts, await tear(segments, torn, options.mode))
  const left = await listSegments(dir)
  const current = left.pop()!
  const { birthtimeMs, mtimeMs } = await stat(current.path)
  return {
    dir,
    origin: checkpoint.origin,
    signer: options.signer,
    tiles,
    file: await SegmentFile.resume(current, birthtimeMs || mtimeMs),
    closed: left,
    signedSize: checkpoint.size,
    ...(Object.keys(facts).length > 0 ? { facts } : {}),
  }
}

async function setAside(dir: string, reason: string, options: RecoveryOptions): Promise<Recovered> {
  const aside = `${dir}.aside-${randomHex(4)}`
  await rename(dir, aside)
  // The key may change with the same start: what was signed before must stay verifiable.
  if (options.oldVkey !== undefined) await writeFile(join(aside, 'vkey'), options.oldVkey, { mode: options.mode })
  await syncDir(dirname(dir))
  return { ...(await begin(dir, options)), facts: { aside: basename(aside), reason } }
}
