// What `auditlb verify -` prints: whether what came by on standard input is what was signed.
import type { StreamLogReport } from '../log/stream-report.ts'
import { printable } from '../log/summary.ts'
import type { StreamReport } from '../log/verify-stream.ts'

export function formatStream({
  ok,
  authenticated,
  logs,
  others,
  incomplete,
  problems,
  elsewhere,
}: StreamReport): string {
  const lines = logs.flatMap(formatLog)
  if (others > 0) lines.push(`${others} lines of others passed over`)
  if (incomplete > 0) lines.push(`${incomplete} lines of which a part did not come`)
  for (const origin of elsewhere) lines.push(`${origin}: not here`)
  for (const { line, fact } of problems) lines.push(line === undefined ? fact : `-:${line}: ${fact}`)
  lines.push(ok ? `holds, ${authenticated ? 'authenticated by the given key' : consistent(logs)}` : 'does not hold')
  return lines.map((line) => `${printable(line)}\n`).join('')
}

const isUnchecked = ({ lines, checked }: StreamLogReport): boolean => lines > 0 && checked === 0

function consistent(logs: readonly StreamLogReport[]): string {
  const unchecked = logs.filter(isUnchecked).length
  const but = unchecked === 0 ? '' : `: nothing is checked of ${unchecked} of ${logs.length} logs`
  return `self-consistent, not authenticated${but}`
}

function formatLog(log: StreamLogReport): string[] {
  if (log.lines === 0) return [`${log.origin}: ${withoutLines(log)}`, ...formatProblems(log)]
  const facts = [`lines ${log.first} to ${log.last}`, `${log.checked} checked`]
  if (log.checkedThrough !== undefined) facts.push(`signed up to ${log.checkedThrough} lines`)
  if (log.begun !== undefined) facts.push(`checked from line ${log.begun} on`)
  if (log.unchecked > 0) facts.push(`${log.unchecked} that nothing here can be held against`)
  if (log.pinned !== undefined) facts.push(`seen from outside up to ${log.pinned} lines`)
  facts.push(`${log.unsigned} at the end that no checkpoint covers`)
  if (log.repeated > 0) facts.push(`${log.repeated} repeated`)
  if (log.told > 0) facts.push(`${log.told} told as not delivered`)
  if (log.gaps.lost > 0) facts.push(`${log.gaps.lost} events told as lost`)
  if (isUnchecked(log)) facts.push('nothing of this log is checked')
  return [`${log.origin}: ${facts.join(', ')}`, ...formatProblems(log)]
}

const withoutLines = ({ covered }: StreamLogReport): string =>
  covered === undefined
    ? 'no lines here'
    : `no lines here; a checkpoint of ${covered} lines and nothing to hold it against`

function formatProblems(log: StreamLogReport): string[] {
  const lines: string[] = []
  for (const { line, index, fact } of log.problems) {
    lines.push(`  ${line === undefined ? '' : `-:${line}: `}${index === undefined ? '' : `line ${index}: `}${fact}`)
  }
  const more = log.problemCount - log.problems.length
  if (more > 0) lines.push(`  and ${more} more`)
  return lines
}
