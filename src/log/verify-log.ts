// Verifies one log: its checkpoint, its lines against the hashes that were kept of them, and those against the signed root.
import { readFile } from 'node:fs/promises'
import type { LogName } from '../sink.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { checkpointPath } from './checkpoint-file.ts'
import { envelopeFault } from './envelope.ts'
import { HashAudit } from './hash-audit.ts'
import { LineReader, lineStart } from './lines.ts'
import { LogReport } from './log-report.ts'
import { fromHash, leafHashIn } from './merkle.ts'
import { openNote, type Verifier } from './note.ts'
import { isMissing, listSegments, orMissing, type Segment } from './segments.ts'

export async function verifyOneLog(dir: string, log: LogName, keys: readonly Verifier[]): Promise<LogReport> {
  const report = new LogReport(log)
  // First, so that a writer at work can only have more lines than it says.
  const checkpoint = await readCheckpoint(dir, keys, report)
  report.origin = checkpoint?.origin
  report.signed = checkpoint?.size ?? 0
  report.root = checkpoint === undefined ? undefined : fromHash(checkpoint.root).toString('base64')
  const segments = await listSegments(dir)
  const hashes = new HashAudit(dir, report.signed, report)
  let next = segments[0]?.first ?? 0
  report.pruned = next
  await hashes.skip(Math.min(next, report.signed))
  for (const segment of segments) {
    if (segment.first !== next) {
      const gap =
        segment.first > next
          ? `lines ${next} to ${segment.first - 1} are missing before it`
          : `expected the first line to be ${next}`
      report.add({ file: segment.path, index: next, fact: gap })
      await hashes.skip(Math.min(segment.first, report.signed))
    }
    next = await verifySegment(segment, segment === segments.at(-1), checkpoint, hashes, report)
  }
  if (next < report.signed) {
    const file = segments.at(-1)?.path ?? dir
    report.add({
      file,
      index: next,
      fact: `lines ${next} to ${report.signed - 1}, which the checkpoint covers, are missing`,
    })
    await hashes.skip(report.signed)
  }
  report.unsigned = Math.max(0, next - Math.max(report.signed, report.pruned))
  if (checkpoint !== undefined) await hashes.finish(checkpoint.root)
  report.sort()
  return report
}

async function readCheckpoint(
  dir: string,
  keys: readonly Verifier[],
  report: LogReport,
): Promise<Checkpoint | undefined> {
  const file = checkpointPath(dir)
  const note = await orMissing(readFile(file), undefined)
  if (note === undefined) {
    report.add({ file, fact: 'the checkpoint is missing' })
    return undefined
  }
  const opened = openNote(note, keys)
  if ('fault' in opened) {
    const by = opened.names.length > 0 ? `; it names ${opened.names.join(', ')}` : ''
    report.add({ file, fact: `the checkpoint is not valid: ${opened.fault}${by}` })
    return undefined
  }
  const checkpoint = parseCheckpoint(opened.text)
  // A key signs for one instance: a checkpoint of another log under it would be one that was moved here.
  if (!checkpoint?.origin.startsWith(`${opened.signedBy}/${report.log}/`)) {
    report.add({ file, fact: `the checkpoint is not one of ${opened.signedBy}/${report.log}` })
    return undefined
  }
  return checkpoint
}

/** Returns the index behind the last whole line. */
async function verifySegment(
  { path: file, first }: Segment,
  last: boolean,
  checkpoint: Checkpoint | undefined,
  hashes: HashAudit,
  report: LogReport,
): Promise<number> {
  let index = first
  let reader: LineReader
  try {
    reader = await LineReader.open(file)
  } catch (error) {
    if (!isMissing(error)) throw error
    // Retention was faster: it deletes from the front, so what went before is gone as well.
    return first
  }
  try {
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      for (let i = 0; i < block.ends.length; i++, index++) {
        const [start, end] = [lineStart(block, i), block.ends[i]!]
        const at = { file, line: index - first + 1, index }
        report.lines++
        const altered =
          index < report.signed && !(await hashes.matches(index, leafHashIn(block.buffer, start, end), at))
        const fault = envelopeFault(block.buffer.toString('utf8', start, end), checkpoint?.origin, index)
        if (!altered && fault !== undefined) report.add({ ...at, fact: fault })
      }
    }
    // Behind the last line end of the last segment a line may be in the making.
    if (reader.rest.length > 0 && (reader.overlong || !last || index < report.signed)) {
      const fact = reader.overlong ? 'the line is longer than a line can be' : 'the line has no end'
      report.add({ file, line: index - first + 1, index, fact })
    }
  } finally {
    await reader.close()
  }
  return index
}
