// Verifies one log: its checkpoint, its lines against the hashes that were kept of them, and those against the signed root.
import type { LogName } from '../sink.ts'
import { checkpointPath } from './checkpoint-file.ts'
import { HashAudit } from './hash-audit.ts'
import type { KeptNote } from './kept-notes.ts'
import { LogReport } from './log-report.ts'
import { fromHash } from './merkle.ts'
import type { Pin, Pins } from './pins.ts'
import { listOthers, listSegments, type Segment } from './segments.ts'
import type { SignedLog } from './signed-log.ts'
import { statementPath } from './statement.ts'
import { lastSigned, look, openCheckpoint, type Signers } from './verify-checkpoint.ts'
import { holdKept, holdPins } from './verify-evidence.ts'
import { verifySegment } from './verify-segment.ts'
import { Account, type Stated } from './witness-copy.ts'

/** What a log is held against besides its own checkpoint. */
export interface Evidence {
  readonly kept: readonly KeptNote[]
  readonly pins: Pins
  /** What the witness states that holds the log; undefined where none does. */
  readonly stated?: Stated | undefined
}

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
  if (stated !== undefined && 'fault' in stated)
    report.add({ file: statementPath(dir), fact: `the statement of the witness is not valid: ${stated.fault}` })
  const account = new Account(stated)
  const start = await look(dir, report)
  const opened =
    start.note === undefined ? undefined : lastSigned(await openCheckpoint(dir, start.note, signers, report), kept)
  const checkpoint = opened?.checkpoint
  // Without a checkpoint the statement still tells which log it is, so that what was seen of that is not forgotten.
  report.origin = checkpoint?.origin ?? (start.note === undefined ? account.origin : undefined)
  if (checkpoint !== undefined && (account.origin ?? checkpoint.origin) !== checkpoint.origin)
    report.add({ file: statementPath(dir), fact: `the statement of the witness is one of ${account.origin}` })
  report.signed = checkpoint?.size ?? 0
  report.root = checkpoint === undefined ? undefined : fromHash(checkpoint.root).toString('base64')
  const pinned = pins.of(report.origin)
  for (const { remark } of pinned) if (remark !== undefined) report.remark({ file: dir, fact: remark })
  for (const file of await listOthers(dir)) report.remark({ file, fact: 'of no account: nobody reads it' })
  if (start.note === undefined) report.add({ file: checkpointPath(dir), fact: missingFact(pinned, account) })
  const sizes = [...kept, ...pinned].map(({ size }) => size)
  const hashes = new HashAudit(dir, report.signed, report, sizes)
  const signed: SignedLog = { origin: report.origin, hashes, report, prunedBelow: 0, changes: [] }
  let { segments } = start
  let next = segments[0]?.first ?? 0
  report.missing = account.missing(next)
  report.pruned = next - report.missing
  await hashes.skip(Math.min(next, report.signed))
  let vanished = false
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    if (segment.first !== next) {
      const gap =
        segment.first > next
          ? `lines ${next} to ${segment.first - 1} are missing before it`
          : `segment ${segment.first} overlaps the one before, which ends at line ${next - 1}`
      const fact = gap + account.doubt(next, segment.first - 1)
      if (account.excuses(next, segment.first - 1)) report.missing += segment.first - next
      else report.add({ file: segment.path, index: next, fact })
      await hashes.skip(Math.min(segment.first, report.signed))
    }
    const end = await verifySegment(segment, segments[i + 1]?.first, signed)
    if (end !== undefined) {
      next = Math.max(next, end)
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
  if (account.excuses(next, report.signed - 1)) {
    report.missing += report.signed - next
    await hashes.skip(report.signed)
  } else if (next < report.signed) {
    const file = segments.at(-1)?.path ?? dir
    const gap = `lines ${next} to ${report.signed - 1}, which the checkpoint covers, are missing`
    report.add({ file, index: next, fact: gap + account.doubt(next, report.signed - 1) })
    await hashes.skip(report.signed)
  }
  const front = (start.segments[0]?.first ?? 0) - 1
  // Retention has deleted what a signed line tells of, or a witness whose word counts: for the rest nobody knows who did.
  if (!vanished && !account.excuses(0, front)) report.pruned = Math.min(report.pruned, signed.prunedBelow)
  if (opened === undefined) return
  // What vanishes meanwhile may take its record along: the next run demands the record of all that is gone by then.
  if (!vanished) demandRecord(start.segments[0], signed, account)
  await hashes.finish(opened.checkpoint.root)
  holdKept(dir, kept, opened.checkpoint, { signer: opened.signer, known: signers.keys }, signed)
  holdPins(pinned, hashes, dir, report)
}

/** What tells most: how much there was, or that there is nothing to hold the lines against. */
function missingFact(pinned: readonly Pin[], { origin }: Account): string {
  const most = pinned.toSorted((a, b) => b.size - a.size)[0]
  if (most !== undefined) return `the checkpoint is missing, and ${most.by} has seen ${most.size} lines`
  if (origin !== undefined) return "the writer's checkpoint is missing: nothing here is signed"
  return 'the checkpoint is missing'
}

/** Lines at the front may be missing only if a signed line tells that retention deleted them: it is signed before they go. */
function demandRecord(begin: Segment | undefined, { report, prunedBelow }: SignedLog, account: Account): void {
  if (begin === undefined || begin.first === 0) return
  const { first, path: file } = begin
  if (account.excuses(0, first - 1)) return
  if (first > report.signed) {
    report.add({ file, index: 0, fact: `it begins at line ${first}, and the checkpoint covers ${report.signed} only` })
  } else if (prunedBelow < first) {
    const fact = `lines ${prunedBelow} to ${first - 1} are missing without a record of retention`
    report.add({ file, index: 0, fact: fact + account.doubt(prunedBelow, first - 1) })
  }
}
