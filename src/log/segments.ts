// The files that hold the lines of a log, each named by the index of its first line.
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Lines `first` and up to the next segment. */
export interface Segment {
  readonly first: number
  readonly path: string
  readonly bytes: number
}

const pattern = /^(\d{16})\.jsonl$/

export const segmentName = (first: number): string => `${String(first).padStart(16, '0')}.jsonl`
export const segmentsDir = (logDir: string): string => join(logDir, 'segments')

/** The segments of a log in order; none if it has no folder. One that vanishes meanwhile was pruned, and is left out. */
export async function listSegments(logDir: string): Promise<Segment[]> {
  const dir = segmentsDir(logDir)
  const names = await orMissing(readdir(dir), [])
  const found: Segment[] = []
  for (const name of names.sort()) {
    const first = pattern.exec(name)?.[1]
    if (first === undefined) continue
    const path = join(dir, name)
    const bytes = await orMissing(
      stat(path).then((facts) => facts.size),
      undefined,
    )
    if (bytes !== undefined) found.push({ first: Number(first), path, bytes })
  }
  return found
}

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
