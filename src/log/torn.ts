// Moves what a crash left of unfinished lines beside their segment: nothing is thrown away.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, open, rename } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Torn } from './replay.ts'
import { orMissing, type Segment, syncDir } from './segments.ts'

const chunkBytes = 1_048_576

/**
 * Moves what follows the tear, before line `next`, to `<segment>.torn-<n>`, and later segments whole. The copy is durable before the original is
 * cut, so that a crash in between leaves it twice, never not at all.
 */
export async function tear(
  segments: readonly Segment[],
  { segment, offset }: Torn,
  next: number,
  mode: number,
): Promise<Readonly<Record<string, string | number>>> {
  for (const later of segments.filter((one) => one.first > segment.first))
    await rename(later.path, await freeName(later.path))
  const path = await freeName(segment.path)
  // None of its lines belongs to the log, nor would the next one under its name.
  if (offset === 0 && segment.first !== next) {
    const sum = createHash('sha256')
    for await (const chunk of createReadStream(segment.path)) sum.update(chunk as Buffer)
    await rename(segment.path, path)
    await syncDir(dirname(path))
    return { torn_bytes: segment.bytes, torn_file: basename(path), torn_sha256: sum.digest('hex') }
  }
  const from = await open(segment.path, 'r+')
  const to = await open(path, 'wx', mode)
  const sum = createHash('sha256')
  let bytes = 0
  try {
    const chunk = Buffer.alloc(chunkBytes)
    for (;;) {
      const { bytesRead } = await from.read(chunk, 0, chunkBytes, offset + bytes)
      if (bytesRead === 0) break
      sum.update(chunk.subarray(0, bytesRead))
      await to.appendFile(chunk.subarray(0, bytesRead))
      bytes += bytesRead
    }
    await to.sync()
    await syncDir(dirname(path))
    await from.truncate(offset)
    await from.sync()
  } finally {
    await from.close()
    await to.close()
  }
  return { torn_bytes: bytes, torn_file: basename(path), torn_sha256: sum.digest('hex') }
}

/** A name beside a segment, for what does not belong to the log. */
export async function freeName(segmentPath: string): Promise<string> {
  for (let n = 0; ; n++) {
    const path = `${segmentPath}.torn-${n}`
    if (
      (await orMissing(
        access(path).then(() => true),
        false,
      )) === false
    )
      return path
  }
}
