// The checkpoint of a log: what its writer has signed last, and whether it is one of this log.
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { checkpointPath } from './checkpoint-file.ts'
import type { KeptNote } from './kept-notes.ts'
import type { LogReport } from './log-report.ts'
import { openNote, type Verifier } from './note.ts'
import { readRegular } from './regular-file.ts'
import { listSegments, orMissing, type Segment } from './segments.ts'

/** Who may have signed a log. */
export interface Signers {
  readonly keys: readonly Verifier[]
  /** Reads them again: the writer may have gone over to another one meanwhile. */
  renew(): Promise<readonly Verifier[]>
  /** The instance that the key must be of; any if it is not known. */
  readonly instance: string | undefined
  /** The service that it must be of, in the same way. */
  readonly service: string | undefined
  /** Text of those of the keys that signed a log. Written by verifyOneLog. */
  readonly used: Set<string>
}

// Retention deletes a segment in the time that it takes to write one: more than once between two reads of a folder is rare.
const maxLooks = 20

/**
 * The checkpoint and the segments as they were at one time. The checkpoint is read before what it covers, so that a writer at
 * work can only have more lines than it says; and after what is deleted, so that it covers the record of that.
 */
export async function look(dir: string, report: LogReport): Promise<{ note: Buffer | undefined; segments: Segment[] }> {
  for (let looks = 1; ; looks++) {
    const before = await listSegments(dir)
    const path = checkpointPath(dir)
    const note = await orMissing(readRegular(path), undefined).catch((error: unknown) => {
      report.addUnreadable(path, error)
      return Buffer.alloc(0)
    })
    const segments = await listSegments(dir)
    if (segments[0]?.first === before[0]?.first || looks === maxLooks || note?.length === 0) return { note, segments }
  }
}

export interface Opened {
  readonly checkpoint: Checkpoint
  readonly signer: Verifier
}

/** A checkpoint that hands over to another key is kept before it is published: a crash can leave it at that. */
export function lastSigned(opened: Opened | undefined, kept: readonly KeptNote[]): Opened | undefined {
  const last = kept.at(-1)
  if (opened === undefined || last?.change === undefined || last.size <= opened.checkpoint.size) return opened
  if (last.origin !== opened.checkpoint.origin) return opened
  return { checkpoint: { origin: last.origin, size: last.size, root: last.root! }, signer: last.change.from }
}

export async function openCheckpoint(
  dir: string,
  note: Buffer,
  { keys, renew, instance, service, used }: Signers,
  report: LogReport,
): Promise<Opened | undefined> {
  const file = checkpointPath(dir)
  let opened = openNote(note, keys)
  if ('fault' in opened && opened.unknown) opened = openNote(note, await renew())
  if ('fault' in opened) {
    const by = opened.names.length > 0 ? `; it names ${opened.names.join(', ')}` : ''
    report.add({ file, fact: `the checkpoint is not valid: ${opened.fault}${by}` })
    return undefined
  }
  const { signedBy, verifier } = opened
  report.signedBy = signedBy
  used.add(verifier.vkey)
  // A key signs for one instance: a checkpoint of another log under it would be one that was moved here.
  const checkpoint = parseCheckpoint(opened.text)
  if (!checkpoint?.origin.startsWith(`${signedBy}/${report.log}/`)) {
    report.add({ file, fact: `the checkpoint is not one of ${signedBy}/${report.log}` })
    return undefined
  }
  const slash = signedBy.indexOf('/')
  const expected = [
    { found: signedBy.slice(slash + 1), of: instance },
    { found: signedBy.slice(0, slash), of: service },
  ].find(({ found, of }) => (of ?? found) !== found)
  if (expected !== undefined) {
    report.add({ file, fact: `the checkpoint is one of ${signedBy}, in the folder of ${expected.of}` })
    return undefined
  }
  return { checkpoint, signer: verifier }
}
