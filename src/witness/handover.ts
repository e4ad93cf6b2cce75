// How a log goes over to another key: a line names it, and the old key signs a checkpoint that covers the line.
import { mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { handOverDir } from '../log/hand-over.ts'
import { readKeptNotes } from '../log/kept-notes.ts'
import { replaceFile } from '../log/replace-file.ts'
import { syncDir } from '../log/segments.ts'

/** Keeps the checkpoint that covers a change, where verification looks for it; one that covers none is not kept. */
export async function keepHandover(logDir: string, size: number, note: string, mode: number): Promise<void> {
  const dir = handOverDir(logDir)
  const path = join(dir, String(size).padStart(16, '0'))
  await mkdir(dir, { recursive: true, mode: 0o750 })
  await replaceFile(path, note, mode)
  const kept = await readKeptNotes(logDir)
  if (kept.find(({ file }) => file === path)?.change === undefined) await unlink(path)
  await syncDir(dir)
}
