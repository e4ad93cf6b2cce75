// Replaces a small file at once.
import { open, rename } from 'node:fs/promises'

/**
 * A reader, or a crash at any point, meets the old content or the new, never a part. Only one may replace a file at a time. After
 * a power loss the old content may be back until the folder is fsynced.
 */
export async function replaceFile(path: string, content: string | Buffer, mode: number): Promise<void> {
  const fresh = `${path}.tmp`
  const handle = await open(fresh, 'w', mode)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(fresh, path)
}
