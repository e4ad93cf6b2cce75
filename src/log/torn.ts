// Moves what a crash left of unfinished lines beside their segment: nothing is thrown away.
import { createHash } from 'node:crypto'
import { access, open, rename } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Torn } from './replay.ts'
import { orMissing, type Segment, syncDir } from './segments.ts'

const chunkBytes = 1_048_576

/**
 * Moves what follows the tear to `<segment>.torn-<n>`, and later segments whole. The copy is durable before the original is
 * cut, so that a crash in between leaves it twice, never not at all.
 */
export async function tear(
  segments: readonly Segment[],
  { segment, offset }: Torn,
  mode: number,
): Promise<Readonly<Record<string, string | number>>> {
  for (const later of segments.filter((one) => one.first > segment.first))
    await rename(later.path, await freeName(later))
  const path = await freeName(segment)
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

async function freeName(segment: Segment): Promise<string> {
  for (let n = 0; ; n++) {
    const path = `${segment.path}.torn-${n}`
    if (
      (await orMissing(
        access(path).then(() => true),
        false,
      )) === false
    )
      return path
  }
}
