// How a log goes over to another key: a line names it, and the old key signs a checkpoint that covers the line.
import { access, mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { handOverDir } from '../log/hand-over.ts'
import { readKeptNotes } from '../log/kept-notes.ts'
import { followKeys, type KeyChange } from '../log/key-line.ts'
import { parseVkey, type Verifier } from '../log/note.ts'
import { replaceFile } from '../log/replace-file.ts'
import { orMissing, syncDir } from '../log/segments.ts'
import { logDir, type Origin } from './catalogue.ts'
import type { HeldLog } from './held-log.ts'

/** Keeps the checkpoint that covers a change, where verification looks for it; one that covers none is not kept. */
export async function keepHandover(dir: string, size: number, note: string, mode: number): Promise<void> {
  const folder = handOverDir(dir)
  const path = join(folder, String(size).padStart(16, '0'))
  const there = await orMissing(
    access(path).then(() => true),
    false,
  )
  if (there) return
  await mkdir(folder, { recursive: true, mode: 0o750 })
  await replaceFile(path, note, mode)
  const kept = await readKeptNotes(dir)
  if (kept.find(({ file }) => file === path)?.change === undefined) await unlink(path)
  await syncDir(folder)
}

/** Keeps those of these notes that are checkpoints of the log by which a key handed over. */
export async function keepHandovers(
  entry: Origin,
  log: HeldLog,
  notes: readonly string[],
  mode: number,
): Promise<void> {
  for (const note of notes) {
    const checkpoint = parseCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
    if (checkpoint === undefined || checkpoint.size > log.size) continue
    if ((await log.root(checkpoint.size)) === checkpoint.root)
      await keepHandover(logDir(entry), checkpoint.size, note, mode)
  }
}

async function changesOf(entry: Origin): Promise<KeyChange[]> {
  return (await readKeptNotes(logDir(entry))).flatMap(({ change }) => change ?? [])
}

/** The key that signed last, and those that it has led to. */
export async function successors(entry: Origin): Promise<Verifier[]> {
  return entry.vkey === undefined ? [] : followKeys([parseVkey(entry.vkey)], await changesOf(entry))
}

/** A key, and those that have led to it. */
export const ancestors = async (entry: Origin, key: Verifier): Promise<Verifier[]> =>
  followKeys([key], await changesOf(entry), true)
