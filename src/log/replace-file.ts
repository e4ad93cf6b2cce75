// Replaces a small file at once.
import { writeFile as writeFileByCallback } from 'node:fs'
import { rename } from 'node:fs/promises'
import { promisify } from 'node:util'

/** A file that is opened by a promise is an object that the garbage collector watches: that costs more than the write. */
export const writeFile = promisify(writeFileByCallback)

/**
 * A reader, or a crash at any point, meets the old content or the new, never a part. Only one may replace a file at a time. After
 * a power loss the old content may be back until the folder is fsynced.
 */
export async function replaceFile(path: string, content: string | Buffer, mode: number): Promise<void> {
  const fresh = `${path}.tmp`
  await writeFile(fresh, content, { mode, flush: true })
  await rename(fresh, path)
}
