// What a log keeps of each hand-over from one key to another: the last checkpoint that the first of them signed.
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type LoggedEvent, parseLine } from './envelope.ts'
import { LineReader, lineStart } from './lines.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, type Segment, syncDir } from './segments.ts'

const pattern = /^\d{16}$/

export const handOverDir = (logDir: string): string => join(logDir, 'keys')

/**
 * Keeps a checkpoint of `size` lines, whose last line is the `audit.key_rotated` that names the next key. Durable when it
 * resolves: nothing may be signed by the next key before.
 */
export async function keepHandOver(logDir: string, size: number, note: string, mode: number): Promise<void> {
  const dir = handOverDir(logDir)
  await mkdir(dir, { recursive: true, mode: 0o750 })
  await replaceFile(join(dir, String(size).padStart(16, '0')), note, mode)
  await syncDir(dir)
  await syncDir(logDir)
}

/** The last of them. */
export async function lastHandOver(logDir: string): Promise<{ readonly size: number; note: Buffer } | undefined> {
  const dir = handOverDir(logDir)
  const names = (await orMissing(readdir(dir), [])).filter((name) => pattern.test(name)).sort()
  const name = names.at(-1)
  return name === undefined ? undefined : { size: Number(name), note: await readFile(join(dir, name)) }
}

/** The event of one line; undefined if it is not there. Reads its segment from the front. */
export async function eventAt(segments: readonly Segment[], index: number): Promise<LoggedEvent | undefined> {
  const segment = segments.findLast(({ first }) => first <= index)
  if (segment === undefined) return undefined
  const reader = await LineReader.open(segment.path)
  try {
    let next = segment.first
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      const at = index - next
      next += block.ends.length
      if (at < block.ends.length) return parseLine(block.buffer.toString('utf8', lineStart(block, at), block.ends[at]!))
    }
    return undefined
  } finally {
    await reader.close()
  }
}
