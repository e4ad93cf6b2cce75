// Puts right what others have done to the segment that is being written: deleted, replaced, or cut short.
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SegmentFile } from './segment-file.ts'
import { orMissing, type Segment, segmentName, segmentsDir, syncDir } from './segments.ts'
import { freeName } from './torn.ts'

const chunkBytes = 1_048_576
const lf = 0x0a

/** Copies a part of a file to the end of another. */
async function copy(from: FileHandle, start: number, end: number, to: FileHandle): Promise<void> {
  const chunk = Buffer.alloc(chunkBytes)
  for (let at = start; at < end; ) {
    const { bytesRead } = await from.read(chunk, 0, Math.min(chunkBytes, end - at), at)
    if (bytesRead === 0) return
    await to.appendFile(chunk.subarray(0, bytesRead))
    at += bytesRead
  }
}

/** Makes a segment of a part of a file, durable before it has its name. */
async function segmentOf(from: FileHandle, start: number, end: number, path: string, mode: number): Promise<void> {
  const fresh = `${path}.tmp`
  const to = await open(fresh, 'w', mode)
  try {
    await copy(from, start, end, to)
    await to.sync()
  } finally {
    await to.close()
  }
  await rename(fresh, path)
}

export interface Repaired {
  /** The segment that is written to from now on. */
  readonly file: SegmentFile
  readonly facts: Readonly<Record<string, string | number>>
  /** What is left of the one that was cut, and the indices of the lines that are gone. */
  readonly cut?: { readonly left: Segment | undefined; readonly first: number; readonly last: number }
}

/** Undefined if nothing is wrong. `size` lines were written. */
export async function repair(
  logDir: string,
  file: SegmentFile,
  size: number,
  mode: number,
): Promise<Repaired | undefined> {
  const state = await file.look()
  if (state === 'whole') return undefined
  return state === 'cut' ? afterCut(logDir, file, size, mode) : restore(logDir, file, state, mode)
}

/**
 * Gives a segment that was deleted its name again, with all that is in it: the system keeps that as long as the file is open. What
 * has taken its name is moved beside it.
 */
async function restore(
  logDir: string,
  file: SegmentFile,
  what: 'deleted' | 'replaced',
  mode: number,
): Promise<Repaired> {
  const { path, first, bytes, begunAt, writtenAt } = file
  const facts: Record<string, string | number> = { reason: `the segment was ${what}`, segment: basename(path) }
  if (what === 'replaced') {
    const other = await freeName(path)
    await orMissing(rename(path, other), undefined)
    facts.torn_file = basename(other)
  }
  await mkdir(segmentsDir(logDir), { recursive: true, mode: 0o750 })
  await segmentOf(file.handle, 0, bytes, path, mode)
  await syncDir(segmentsDir(logDir))
  const segment = { first, path, bytes, at: writtenAt, compressed: false }
  const fresh = await SegmentFile.resume(segment, begunAt, 0)
  await file.close().catch(() => {})
  return { file: fresh, facts: { ...facts, restored_bytes: bytes } }
}

/**
 * Goes on in a new segment behind lines that are gone. `size` lines were written; those that came into the file after it was
 * cut stand behind a hole of zeros, and are the first of the new segment.
 */
async function afterCut(logDir: string, file: SegmentFile, size: number, mode: number): Promise<Repaired> {
  const { head, tail } = await scan(file)
  const first = file.first + head.lines
  const next = size - tail.lines
  const path = join(segmentsDir(logDir), segmentName(next))
  await segmentOf(file.handle, tail.start, file.bytes, path, mode)
  await file.handle.truncate(head.end)
  // From here on it cannot be done again: what stood behind the hole is only in the new segment.
  const tidy = async () => {
    await file.handle.sync()
    if (head.end === 0) await orMissing(unlink(file.path), undefined)
    await syncDir(segmentsDir(logDir))
  }
  await tidy().catch(() => {})
  const { writtenAt: at } = file
  const bytes = Math.max(0, file.bytes - tail.start)
  const fresh = await SegmentFile.resume({ first: next, path, bytes, at, compressed: false }, at)
  await file.close().catch(() => {})
  const left =
    head.end === 0 ? undefined : { first: file.first, path: file.path, bytes: head.end, at, compressed: false }
  const facts = { reason: 'the segment was cut', segment: basename(file.path), first, last: next - 1 }
  return { file: fresh, facts, cut: { left, first, last: next - 1 } }
}

/** The whole lines before the first byte that is zero or not there, and those behind the last such byte. */
async function scan(file: SegmentFile): Promise<{
  head: { lines: number; end: number }
  tail: { lines: number; start: number }
}> {
  const head = { lines: 0, end: 0 }
  const tail = { lines: 0, start: file.bytes }
  const chunk = Buffer.alloc(chunkBytes)
  let intact = true
  let at = 0
  for (; at < file.bytes; ) {
    const { bytesRead } = await file.handle.read(chunk, 0, Math.min(chunkBytes, file.bytes - at), at)
    if (bytesRead === 0) break
    for (let i = 0; i < bytesRead; i++) {
      const byte = chunk[i]
      if (byte === 0) {
        intact = false
        tail.lines = 0
        tail.start = at + i + 1
      } else if (byte === lf) {
        tail.lines++
        if (intact) {
          head.lines++
          head.end = at + i + 1
        }
      }
    }
    at += bytesRead
  }
  // Without a hole nothing was written since it was cut.
  return { head, tail: intact || at < file.bytes ? { lines: 0, start: file.bytes } : tail }
}
