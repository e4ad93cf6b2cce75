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
  const held = `holds, ${authenticated ? 'authenticated by the given key' : 'self-consistent, not authenticated'}`
  lines.push(ok ? held : 'does not hold')
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function formatLog(log: StreamLogReport): string[] {
  const facts = [log.first === undefined ? 'no lines' : `lines ${log.first} to ${log.last}`, `${log.checked} checked`]
  if (log.checkedThrough !== undefined) facts.push(`signed up to ${log.checkedThrough} lines`)
  if (log.begun !== undefined) facts.push(`checked from line ${log.begun} on`)
  if (log.unchecked > 0) facts.push(`${log.unchecked} that nothing here can be held against`)
  if (log.pinned !== undefined) facts.push(`${log.pinned} seen from outside`)
  facts.push(`${log.unsigned} at the end that no checkpoint covers`)
  if (log.repeated > 0) facts.push(`${log.repeated} repeated`)
  if (log.told > 0) facts.push(`${log.told} told as not delivered`)
  if (log.gaps.lost > 0) facts.push(`${log.gaps.lost} events told as lost`)
  const lines = [`${log.origin}: ${facts.join(', ')}`]
  for (const { line, index, fact } of log.problems) {
    lines.push(`  ${line === undefined ? '' : `-:${line}: `}${index === undefined ? '' : `line ${index}: `}${fact}`)
  }
  const more = log.problemCount - log.problems.length
  if (more > 0) lines.push(`  and ${more} more`)
  return lines
}
