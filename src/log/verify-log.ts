// Verifies one log: its checkpoint, its lines against the hashes that were kept of them, and those against the signed root.
import { readFile } from 'node:fs/promises'
import type { LogName } from '../sink.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { checkpointPath } from './checkpoint-file.ts'
import { HashAudit } from './hash-audit.ts'
import type { KeptNote } from './kept-notes.ts'
import { LogReport } from './log-report.ts'
import { fromHash } from './merkle.ts'
import { openNote, type Verifier } from './note.ts'
import type { Pins } from './pins.ts'
import { listSegments, orMissing, type Segment } from './segments.ts'
import type { SignedLog } from './signed-log.ts'
import { accountsFor, missingIn, type Statement, statementPath } from './statement.ts'
import { holdKept, holdPins } from './verify-evidence.ts'
import { verifySegment } from './verify-segment.ts'
import type { Stated } from './witness-copy.ts'

/** Who may have signed a log. */
export interface Signers {
  readonly keys: readonly Verifier[]
  /** Reads them again: the writer may have gone over to another one meanwhile. */
  renew(): Promise<readonly Verifier[]>
  /** The instance that the key must be of; any if it is not known. */
  readonly instance: string | undefined
  /** Text of those of the keys that signed a log. Written by verifyOneLog. */
  readonly used: Set<string>
}

/** What a log is held against besides its own checkpoint. */
export interface Evidence {
  readonly kept: readonly KeptNote[]
  readonly pins: Pins
  /** What the witness states that holds the log; undefined where none does. */
  readonly stated?: Stated | undefined
}

// Retention deletes a segment in the time that it takes to write one: more than once between two reads of a folder is rare.
const maxLooks = 20

/** A file or folder that cannot be read is a problem in the report. */
export async function verifyOneLog(
  dir: string,
  log: LogName,
  signers: Signers,
  evidence: Evidence,
): Promise<LogReport> {
  const report = new LogReport(log)
  try {
    await verifyInto(report, dir, signers, evidence)
  } catch (error) {
    report.addUnreadable(dir, error)
  }
  report.sort()
  return report
}

async function verifyInto(
  report: LogReport,
  dir: string,
  signers: Signers,
  { kept, pins, stated }: Evidence,
): Promise<void> {
  const statement = statementOf(stated, dir, report)
  const start = await look(dir, report)
  // A witness has lines before it has the first checkpoint of them.
  const begins = start.note === undefined && statement !== undefined
  const opened = begins ? undefined : lastSigned(await openCheckpoint(dir, start.note, signers, report), kept)
  const checkpoint = opened?.checkpoint
  report.origin = checkpoint?.origin ?? (begins ? statement.origin : undefined)
  if (checkpoint !== undefined && statement !== undefined && statement.origin !== checkpoint.origin)
    report.add({ file: statementPath(dir), fact: `the statement of the witness is one of ${statement.origin}` })
  report.signed = checkpoint?.size ?? 0
  report.root = checkpoint === undefined ? undefined : fromHash(checkpoint.root).toString('base64')
  const pinned = pins.of(report.origin)
  const sizes = [...kept, ...pinned].map(({ size }) => size)
  const hashes = new HashAudit(dir, report.signed, report, sizes)
  const signed: SignedLog = { origin: report.origin, hashes, report, prunedBelow: 0, changes: [] }
  let { segments } = start
  let next = segments[0]?.first ?? 0
  report.missing = missingIn(statement, next)
  report.pruned = next - report.missing
  await hashes.skip(Math.min(next, report.signed))
  let vanished = false
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    if (segment.first !== next) {
      const gap =
        segment.first > next
          ? `lines ${next} to ${segment.first - 1} are missing before it`
          : `expected the first line to be ${next}`
      if (knows(statement, next, segment.first - 1)) report.missing += segment.first - next
      else report.add({ file: segment.path, index: next, fact: gap })
      await hashes.skip(Math.min(segment.first, report.signed))
    }
    const end = await verifySegment(segment, segments[i + 1]?.first, signed)
    if (end !== undefined) {
      next = end
      continue
    }
    const left = await listSegments(dir)
    const from = left[0]?.first
    // Retention deletes from the front. What is gone while something before it is there is missing.
    if (from === undefined || from < segment.first) continue
    vanished = true
    if (report.lines === 0) report.pruned = from
    next = from
    await hashes.skip(Math.min(next, report.signed))
    // What is not signed could be followed without end.
    if (next >= report.signed) break
    segments = left
    i = -1
  }
  if (knows(statement, next, report.signed - 1)) {
    report.missing += report.signed - next
    await hashes.skip(report.signed)
  } else if (next < report.signed) {
    const file = segments.at(-1)?.path ?? dir
    const fact = `lines ${next} to ${report.signed - 1}, which the checkpoint covers, are missing`
    report.add({ file, index: next, fact })
    await hashes.skip(report.signed)
  }
  if (opened === undefined) return
  // What vanishes meanwhile may take its record along: the next run demands the record of all that is gone by then.
  if (!vanished && !knows(statement, 0, (start.segments[0]?.first ?? 0) - 1)) demandRecord(start.segments[0], signed)
  await hashes.finish(opened.checkpoint.root)
  holdKept(dir, kept, opened.checkpoint, { signer: opened.signer, known: signers.keys }, signed)
  holdPins(pinned, hashes, dir, report)
}

/** Whether a witness accounts for these lines, of which there is at least one. */
const knows = (statement: Statement | undefined, first: number, last: number): boolean =>
  statement !== undefined && first <= last && accountsFor(statement, { first, last })

function statementOf(stated: Stated | undefined, dir: string, report: LogReport): Statement | undefined {
  if (stated === undefined || 'statement' in stated) return stated?.statement
  report.add({ file: statementPath(dir), fact: `the statement of the witness is not valid: ${stated.fault}` })
  return undefined
}

/** Lines at the front may be missing only if a signed line tells that retention deleted them: it is signed before they go. */
function demandRecord(begin: Segment | undefined, { report, prunedBelow }: SignedLog): void {
  if (begin === undefined || begin.first === 0) return
  const { first, path: file } = begin
  if (first > report.signed) {
    report.add({ file, index: 0, fact: `it begins at line ${first}, and the checkpoint covers ${report.signed} only` })
  } else if (prunedBelow < first) {
    const fact = `lines ${prunedBelow} to ${first - 1} are missing without a record of retention`
    report.add({ file, index: 0, fact })
  }
}

/**
 * The checkpoint and the segments as they were at one time. The checkpoint is read before what it covers, so that a writer at
 * work can only have more lines than it says; and after what is deleted, so that it covers the record of that.
 */
async function look(dir: string, report: LogReport): Promise<{ note: Buffer | undefined; segments: Segment[] }> {
  for (let looks = 1; ; looks++) {
    const before = await listSegments(dir)
    const path = checkpointPath(dir)
    const note = await orMissing(readFile(path), undefined).catch((error: unknown) => {
      report.addUnreadable(path, error)
      return Buffer.alloc(0)
    })
    const segments = await listSegments(dir)
    if (segments[0]?.first === before[0]?.first || looks === maxLooks || note?.length === 0) return { note, segments }
  }
}

interface Opened {
  readonly checkpoint: Checkpoint
  readonly signer: Verifier
}

/** A checkpoint that hands over to another key is kept before it is published: a crash can leave it at that. */
function lastSigned(opened: Opened | undefined, kept: readonly KeptNote[]): Opened | undefined {
  const last = kept.at(-1)
  if (opened === undefined || last?.change === undefined || last.size <= opened.checkpoint.size) return opened
  if (last.origin !== opened.checkpoint.origin) return opened
  return { checkpoint: { origin: last.origin, size: last.size, root: last.root! }, signer: last.change.from }
}

async function openCheckpoint(
  dir: string,
  note: Buffer | undefined,
  { keys, renew, instance, used }: Signers,
  report: LogReport,
): Promise<Opened | undefined> {
  const file = checkpointPath(dir)
  if (note === undefined) {
    report.add({ file, fact: 'the checkpoint is missing' })
    return undefined
  }
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
  if (instance !== undefined && signedBy.slice(signedBy.indexOf('/') + 1) !== instance) {
    report.add({ file, fact: `the checkpoint is one of ${signedBy}, in the folder of ${instance}` })
    return undefined
  }
  return { checkpoint, signer: verifier }
}
