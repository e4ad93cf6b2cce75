// Holds a log that was read against what else is known of it: its kept checkpoints, and what was seen from outside.
import type { Checkpoint } from './checkpoint.ts'
import { checkpointPath } from './checkpoint-file.ts'
import { handOverDir } from './hand-over.ts'
import type { HashAudit } from './hash-audit.ts'
import type { KeptNote } from './kept-notes.ts'
import type { LogReport } from './log-report.ts'
import { openNote, type Verifier } from './note.ts'
import type { Pin } from './pins.ts'
import type { SignedLog } from './signed-log.ts'

/** Who signed the checkpoint, and who else may have signed for this writer. */
interface Keys {
  readonly signer: Verifier
  readonly known: readonly Verifier[]
}

/** Each kept checkpoint is one of this history, and each change of keys has one that the old key signed. */
export function holdKept(
  logDir: string,
  kept: readonly KeptNote[],
  checkpoint: Checkpoint,
  keys: Keys,
  log: SignedLog,
): void {
  for (const note of kept) {
    const fault = note.fault ?? faultOf(note, checkpoint, keys, log.hashes)
    if (fault !== undefined) log.report.add({ file: note.file, fact: `the kept checkpoint does not fit: ${fault}` })
  }
  const retired = retiredAt(kept, keys, checkpoint.size)
  if (retired !== undefined) {
    const { name, id } = keys.signer
    const by = `${name}+${id.toString('hex')}, which handed over at ${retired}`
    const fact = `the checkpoint covers ${checkpoint.size} lines and is signed by ${by}`
    log.report.add({ file: checkpointPath(logDir), fact })
  }
  for (const { index, from } of log.changes) {
    // Until the new key has signed there may be none: the change is under way, or was broken off.
    const leads = ({ size, change, fault }: KeptNote): boolean =>
      size > index && (fault !== undefined || change?.from.vkey === from.vkey)
    if (keys.signer.vkey === from.vkey || kept.some(leads)) continue
    const fact = 'the line names a new key, and the checkpoint that the old one signed with it is missing'
    log.report.add({ file: handOverDir(logDir), index, fact })
  }
}

/** The size at which the signer of a checkpoint of more lines has handed over, if it was not handed to since. */
function retiredAt(kept: readonly KeptNote[], { signer, known }: Keys, size: number): number | undefined {
  let retired: number | undefined
  for (const note of kept) {
    if (note.fault !== undefined || note.size > size) continue
    // Where retention deleted the line nobody knows to whom it handed over: that may be the signer, unless it did so itself.
    if (fromOf(note, known) === signer.vkey) retired = note.size
    else if (note.change === undefined || note.change.to.vkey === signer.vkey) retired = undefined
  }
  return retired === size ? undefined : retired
}

function fromOf({ change, note }: KeptNote, known: readonly Verifier[]): string | undefined {
  if (change !== undefined) return change.from.vkey
  const opened = openNote(note, known)
  return 'fault' in opened ? undefined : opened.verifier.vkey
}

function faultOf(
  { size, origin, root, note, change }: KeptNote,
  checkpoint: Checkpoint,
  { known }: Keys,
  hashes: HashAudit,
): string | undefined {
  if (origin !== checkpoint.origin) return `it is one of ${origin}`
  const fits = hashes.hasRoot(size, root!)
  if (fits === undefined) return `it covers ${size} lines, and the checkpoint of the log ${checkpoint.size} only`
  if (!fits) return 'it was signed for other lines'
  if (change !== undefined) return undefined
  // Retention deleted the line that names the keys: then a key that is known from elsewhere can still be held against it.
  const opened = openNote(note, known)
  return 'fault' in opened && !opened.unknown ? opened.fault : undefined
}

/** The history must have every root that was seen from outside. */
export function holdPins(pins: readonly Pin[], hashes: HashAudit, logDir: string, report: LogReport): void {
  const file = checkpointPath(logDir)
  for (const { size, root, by } of pins) {
    const fits = hashes.hasRoot(size, root)
    if (fits === undefined) {
      const fact = `it covers ${report.signed} lines, and ${by} has seen ${size}: the log, or its checkpoint, was put back`
      report.add({ file, index: report.signed, fact })
    } else if (!fits) {
      report.add({ file, fact: `its first ${size} lines are not those that ${by} has seen: the log was rewritten` })
    } else report.pinned = Math.max(report.pinned ?? 0, size)
  }
}
