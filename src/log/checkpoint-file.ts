// The published checkpoint of a log: written after the tiles that it needs, replaced at once.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from './replace-file.ts'
import { isMissing } from './segments.ts'

export const checkpointPath = (logDir: string): string => join(logDir, 'checkpoint')

/**
 * A power loss may bring the checkpoint before back: the lines behind it are there, and are signed anew in the same history.
 */
export async function publishCheckpoint(logDir: string, note: string | Buffer, mode: number): Promise<void> {
  const publish = () => replaceFile(checkpointPath(logDir), note, mode)
  await publish().catch(async (error: unknown) => {
    if (!isMissing(error)) throw error
    await mkdir(logDir, { recursive: true, mode: 0o750 })
    await publish()
  })
}
