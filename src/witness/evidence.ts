// What a sender contradicted itself with: kept beside its log, for whoever asks what happened.
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../log/replace-file.ts'

/** So many are kept of each log: the first tell. */
const mostKept = 16

/** Another line at an index than the one that is held, or a checkpoint that the held lines do not yield. */
export interface Evidence {
  readonly time: string
  readonly origin: string
  readonly fault: string
  readonly index?: number
  readonly line?: string
  readonly note?: string
}

/** Marks a log whose sender shows other lines, or fewer, than those that are held. */
export type Doubt = (fault: string, shown: Pick<Evidence, 'index' | 'line' | 'note'>) => Promise<void>

export async function keepEvidence(logDir: string, evidence: Evidence, mode: number): Promise<void> {
  const dir = join(logDir, 'evidence')
  await mkdir(dir, { recursive: true, mode: 0o750 })
  const count = (await readdir(dir)).length
  if (count >= mostKept) return
  await replaceFile(join(dir, `${String(count).padStart(4, '0')}.json`), `${JSON.stringify(evidence)}\n`, mode)
}
