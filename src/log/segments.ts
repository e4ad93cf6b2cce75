// The files that hold the lines of a log, each named by the index of its first line.
import type { Stats } from 'node:fs'
import { open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** Lines `first` and up to the next segment. */
export interface Segment {
  readonly first: number
  readonly path: string
  /** What it takes on the disk. */
  readonly bytes: number
  /** When it was last written to, in ms since the epoch: by the file, or by the store that has written it (see steadyTime). */
  readonly at: number
  /** Whether it is a gzip file. */
  readonly compressed: boolean
}

const pattern = /^(\d{16})\.jsonl(\.gz)?$/

export const segmentName = (first: number): string => `${String(first).padStart(16, '0')}.jsonl`
export const segmentsDir = (logDir: string): string => join(logDir, 'segments')

/** The name of a segment once it is compressed. */
export const compressedPath = (path: string): string => `${path}.gz`

/** The name of a segment before it is compressed. */
export const plainPath = ({ path, compressed }: Segment): string =>
  compressed ? path.slice(0, -compressedPath('').length) : path

/** Deletes a segment, in both forms: a plain one that could not be deleted when it was compressed would come back in its place. */
export async function deleteSegment(segment: Segment): Promise<void> {
  const plain = plainPath(segment)
  await orMissing(unlink(plain), undefined)
  await orMissing(unlink(compressedPath(plain)), undefined)
}

/**
 * The segments of a log in order; none if it has no folder. One that vanishes meanwhile was pruned, and is left out. Of one that is
 * there twice, since its compression was not over, the plain one is taken.
 */
export async function listSegments(logDir: string): Promise<Segment[]> {
  const dir = segmentsDir(logDir)
  const names = await orMissing(readdir(dir), [])
  const found: Segment[] = []
  for (const name of names.sort()) {
    const [, digits, gz] = pattern.exec(name) ?? []
    if (digits === undefined || (gz !== undefined && found.at(-1)?.first === Number(digits))) continue
    const path = join(dir, name)
    const facts = await orMissing(stat(path), undefined)
    if (facts === undefined && gz === undefined) {
      const packed = compressedPath(path)
      const other = await orMissing(stat(packed), undefined)
      if (other !== undefined) found.push(segment(Number(digits), packed, other, true))
    } else if (facts !== undefined) found.push(segment(Number(digits), path, facts, gz !== undefined))
  }
  return found
}

/** Files among the segments of a log that are none of them, nor read as one: torn ends, what a crash left, and what somebody has put there. */
export async function listOthers(logDir: string): Promise<string[]> {
  const dir = segmentsDir(logDir)
  const names = new Set(await orMissing(readdir(dir), []))
  const isTwin = (name: string): boolean => name.endsWith('.gz') && names.has(name.slice(0, -'.gz'.length))
  const others = [...names].filter((name) => !pattern.test(name) || isTwin(name))
  return others.sort().map((name) => join(dir, name))
}

const segment = (first: number, path: string, { size, mtimeMs }: Stats, compressed: boolean): Segment => ({
  first,
  path,
  bytes: size,
  at: mtimeMs,
  compressed,
})

export const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

/** What was read, or `fallback` if there is no such file or folder. */
export async function orMissing<T, F>(read: Promise<T>, fallback: F): Promise<T | F> {
  try {
    return await read
  } catch (error) {
    if (isMissing(error)) return fallback
    throw error
  }
}

/** Makes entries of a folder survive a power loss: what was created or renamed in it is not durable before. */
export async function syncDir(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
