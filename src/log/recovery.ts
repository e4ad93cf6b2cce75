// Opens a log for writing: begins it, goes on with it, or sets it aside when it cannot be gone on with.
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { randomHex } from '../random.ts'
import { foreignTo, leaveReason } from './aside.ts'
import { type Checkpoint, formatCheckpoint } from './checkpoint.ts'
import { checkpointPath, publishCheckpoint } from './checkpoint-file.ts'
import type { Keyring, Standing } from './keyring.ts'
import { type Replayed, replay } from './replay.ts'
import { SegmentFile } from './segment-file.ts'
import { listSegments, orMissing, type Segment, syncDir } from './segments.ts'
import { type Signed, signedOf } from './signed.ts'
import { TileWriter } from './tile-writer.ts'
import { tear } from './torn.ts'

export interface RecoveryOptions {
  readonly keys: Keyring
  /** What the origin begins with: `<service>/<instance>/<log>/`. */
  readonly prefix: string
  readonly mode: number
  /** Wall time in ms. */
  readonly now: number
  /** The verifier key as it was published before: kept with a log that is set aside. */
  readonly oldVkey: string | undefined
  /** Whether a log that is not whole is refused, with `log-invalid`, where it would be set aside or begun anew. */
  readonly strict: boolean
}

/** A log that is ready to be written to. */
export interface Recovered {
  readonly dir: string
  readonly origin: string
  readonly standing: Standing
  readonly tiles: TileWriter
  readonly file: SegmentFile
  readonly closed: Segment[]
  /** How many lines the checkpoint covers. */
  readonly signedSize: number
  /** The checkpoints by which keys handed over before, the oldest first. */
  readonly handOvers?: readonly string[]
  /** What was not as a clean close leaves it. */
  readonly facts?: Readonly<Record<string, string | number>>
}

/**
 * Always makes progress. What follows the last whole and valid line is moved beside its segment; whole lines that no
 * checkpoint covers yet are kept. When signed lines are found missing or altered, or the log is one of another service, or of a key that is not at
 * hand, the whole log is renamed and one of a new origin begins: a writer must never sign two histories of one origin. Only the last segment is read for that, unless the
 * tiles do not fit it. Where retention has deleted all that was signed, the hashes of it must be there.
 */
export async function recoverLog(dir: string, options: RecoveryOptions): Promise<Recovered> {
  const found = await inspect(dir, options)
  if (found === undefined) {
    if (options.strict) throw new BalancerError('log-invalid', `${dir} is missing`)
    const begun = await begin(dir, options)
    // The key is published once all logs are there: with a key, one that is not there was there before.
    return options.oldVkey === undefined ? begun : { ...begun, facts: { reason: 'the log is missing' } }
  }
  if ('fault' in found) return setAside(dir, found.fault, options)
  const { signed, segments } = found
  const { checkpoint, standing } = signed
  if (segments.length === 0 && checkpoint.size === 0)
    return begin(dir, options, { origin: checkpoint.origin, standing })
  const replayed = await replayFromTiles(dir, segments, checkpoint, options.mode)
  if (typeof replayed === 'string') return setAside(dir, replayed, options)
  return goOn(dir, signed, segments, replayed, options)
}

/** Undefined for a log that does not exist yet; an unfinished beginning counts as none. */
async function inspect(
  dir: string,
  { keys, prefix }: RecoveryOptions,
): Promise<{ fault: string } | { signed: Signed; segments: Segment[] } | undefined> {
  const segments = await listSegments(dir)
  const note = await orMissing(readFile(checkpointPath(dir)), undefined)
  if (note === undefined) {
    const tiles = await orMissing(readdir(join(dir, 'tile')), undefined)
    if (tiles === undefined && segments.every((one) => one.bytes === 0)) return undefined
    return { fault: 'the checkpoint is missing' }
  }
  const foreign = foreignTo(prefix, note)
  if (foreign !== undefined) return { fault: foreign }
  const signed = await signedOf(dir, note, segments, keys)
  return 'fault' in signed ? signed : { signed, segments }
}

async function begin(
  dir: string,
  options: RecoveryOptions,
  known?: { readonly origin: string; readonly standing: Standing },
): Promise<Recovered> {
  const { mode, now, prefix } = options
  await mkdir(dir, { recursive: true, mode: 0o750 })
  const tiles = (await TileWriter.load(dir, mode, 0))!
  const { origin, standing } = known ?? (await firstCheckpoint(dir, `${prefix}${randomHex(8)}`, tiles, options))
  const file = await SegmentFile.create(dir, 0, mode, now)
  await syncDir(dir)
  return { dir, origin, standing, tiles, file, closed: [], signedSize: 0 }
}

/** A log has a checkpoint from its first moment: one without is never new, but has lost it. */
async function firstCheckpoint(dir: string, origin: string, tiles: TileWriter, { keys, mode }: RecoveryOptions) {
  const { first } = keys
  let note: string
  try {
    note = await first.sign(formatCheckpoint({ origin, size: 0, root: tiles.root() }))
  } catch (error) {
    const fact = `the first checkpoint of ${origin} cannot be signed: ${reasonOf(error)}`
    throw new BalancerError('sink-unavailable', fact, { cause: error })
  }
  await publishCheckpoint(dir, note, mode)
  return { origin, standing: keys.standing(first.vkey, undefined)! }
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
  if (segments.length === 0) return 'lines that the checkpoint covers are missing'
  // None is where retention has deleted all that was signed, and more, while nothing could be.
  const replayed = await replay(dir, segments.slice(Math.max(0, last)), checkpoint, mode)
  return typeof replayed === 'string' && last > 0 ? replay(dir, segments, checkpoint, mode) : replayed
}

async function goOn(
  dir: string,
  { checkpoint, standing, unpublished, owed }: Signed,
  segments: readonly Segment[],
  { tiles, torn }: Replayed,
  { mode, now }: RecoveryOptions,
): Promise<Recovered> {
  const facts: Record<string, string | number> = {}
  const first = segments[0]?.first ?? 0
  if (first > checkpoint.size)
    Object.assign(facts, {
      reason: 'lines were deleted before they were signed',
      first: checkpoint.size,
      last: first - 1,
    })
  const unsigned = tiles.size - Math.max(checkpoint.size, first)
  if (unsigned > 0) facts.unsigned_lines = unsigned
  if (torn !== undefined) Object.assign(facts, await tear(segments, torn, tiles.size, mode))
  if (unpublished !== undefined) await publishCheckpoint(dir, unpublished, mode)
  if (owed) await takeOver(dir, checkpoint, standing, mode)
  const closed = await listSegments(dir)
  const last = closed.at(-1)
  let file: SegmentFile
  if (last === undefined || last.compressed) file = await SegmentFile.create(dir, tiles.size, mode, now)
  else {
    const { birthtimeMs, mtimeMs } = await stat(last.path)
    file = await SegmentFile.resume(last, birthtimeMs || mtimeMs)
    closed.pop()
  }
  return {
    dir,
    origin: checkpoint.origin,
    standing,
    tiles,
    file,
    closed,
    signedSize: checkpoint.size,
    ...(Object.keys(facts).length > 0 ? { facts } : {}),
  }
}

/**
 * The next key signs what the old one has signed last, before that one is deleted: no key at hand would else have signed the log. A
 * function that does not sign now tells so itself; the keys that it takes over from are not the writer's to delete.
 */
async function takeOver(dir: string, checkpoint: Checkpoint, { signing }: Standing, mode: number): Promise<void> {
  const note = await Promise.resolve(signing?.sign(formatCheckpoint(checkpoint))).catch(() => undefined)
  if (note !== undefined) await publishCheckpoint(dir, note, mode)
}

async function setAside(dir: string, reason: string, options: RecoveryOptions): Promise<Recovered> {
  if (options.strict) throw new BalancerError('log-invalid', `${dir}: ${reason}`)
  const aside = `${dir}.aside-${randomHex(4)}`
  await rename(dir, aside)
  // The key may change with the same start: what was signed before must stay verifiable.
  if (options.oldVkey !== undefined) await writeFile(join(aside, 'vkey'), options.oldVkey, { mode: options.mode })
  await leaveReason(aside, reason, options.mode)
  await syncDir(dirname(dir))
  return { ...(await begin(dir, options)), facts: { aside: basename(aside), reason } }
}
