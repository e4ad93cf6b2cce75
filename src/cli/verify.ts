// `auditlb verify`: whether a folder is what was signed.
import type { LogProblem, LogReport } from '../log/log-report.ts'
import { printable } from '../log/summary.ts'
import { type VerifyReport, verifyLog } from '../log/verify.ts'
import { verifyStream } from '../log/verify-stream.ts'
import { readArgs, readEvidence } from './args.ts'
import { UsageError, type Verb } from './verb.ts'
import { formatStream } from './verify-stream.ts'

export const verify: Verb = {
  name: 'verify',
  summary: 'checks that the lines in a folder are those that were signed, and that none is missing',
  usage: `Usage: auditlb verify DIR [--vkey FILE] [--roster FILE] [--checkpoint FILE] [--json]
       auditlb verify - [--vkey FILE] [--roster FILE] [--checkpoint FILE] [--sink NAME] [--json]

Reads every line below DIR once. A writer may be at work there. With - it reads a stream of lines and checkpoints from
standard input, such as a container's log; what is of others in it is passed over.

  --vkey FILE        verifier keys, one per line, that were kept elsewhere. Without it each log is held against the key
                     that lies beside it, which whoever can change the log can change as well
  --roster FILE      what a witness has seen, as JSON: no log may be shorter, or have other lines. Without it, or a
                     kept checkpoint, nothing tells that checkpoints and lines at the end of a stream were taken out
  --checkpoint FILE  checkpoints that were kept elsewhere, one after the other: they count as a roster does, and each
                     log that they are of must be here
  --sink NAME        name of the sink that wrote the stream: lines that the log tells as not delivered to it may be
                     missing (default: stdout)
  --json             the report as one JSON object on a line

Exit codes: 0 holds, 1 does not hold, 2 unusable arguments or input. A folder or a stream without any log does not hold
where --vkey, --roster or --checkpoint tells what must be there, and is unusable otherwise.
`,
  async run(args, terminal) {
    const { dir, values, flags } = readArgs(args, {
      names: ['vkey', 'roster', 'checkpoint', 'sink'],
      flags: ['json'],
    })
    if (dir !== '-' && values.sink !== undefined) throw new UsageError('--sink is for a stream, not for a folder')
    const given = await readEvidence(values)
    const json = (report: object): string => `${JSON.stringify(report)}\n`
    if (dir === '-') {
      const report = await verifyStream(terminal.in, { ...given, sink: values.sink })
      await terminal.out(flags.has('json') ? json(report) : formatStream(report))
      return report.ok ? 0 : 1
    }
    const report = await verifyLog(dir, given)
    await terminal.out(flags.has('json') ? json(report) : format(report))
    return report.ok ? 0 : 1
  },
}

function format(report: VerifyReport): string {
  const lines: string[] = []
  for (const { instance, logs, aside, problems } of report.instances) {
    for (const log of logs) lines.push(...formatLog(`${instance}/${log.log}`, log))
    for (const { name, report } of aside) lines.push(...formatLog(`${instance}/${name}`, report))
    for (const problem of problems) lines.push(`${instance}: ${formatProblem(problem)}`)
  }
  for (const origin of report.elsewhere) lines.push(`${origin}: not here`)
  for (const problem of report.problems) lines.push(formatProblem(problem))
  const held = `holds, ${report.authenticated ? 'authenticated by the given key' : 'self-consistent, not authenticated'}`
  lines.push(report.ok ? held : 'does not hold')
  // Names of folders and files are whatever somebody has called them.
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function formatLog(name: string, log: LogReport): string[] {
  const isUnsigned = log.signed === 0 && log.unsigned > 0
  const facts = [
    isUnsigned ? `nothing of this log is signed: ${log.unsigned} lines without a checkpoint` : `${log.signed} signed`,
  ]
  if (log.pruned > 0) facts.push(`${log.pruned} of them deleted by retention`)
  if (log.missing > 0) facts.push(`${log.missing} not here, only their hashes`)
  if (log.pinned !== undefined) facts.push(`${log.pinned} seen from outside`)
  if (log.unsigned > 0 && !isUnsigned) facts.push(`${log.unsigned} not yet signed`)
  const { lost, bySink } = log.gaps
  if (lost > 0) facts.push(`${lost} events told as lost`)
  for (const [sink, count] of Object.entries(bySink)) facts.push(`${count} lines told as not delivered to ${sink}`)
  if (log.root !== undefined) facts.push(`root ${log.root}`)
  const lines = [`${name}: ${facts.join(', ')}`]
  for (const problem of log.problems) lines.push(`  ${formatProblem(problem)}`)
  const more = log.problemCount - log.problems.length
  if (more > 0) lines.push(`  and ${more} more`)
  for (const remark of log.remarks) lines.push(`  no problem: ${formatProblem(remark)}`)
  return lines
}

function formatProblem({ file, line, index, fact }: LogProblem): string {
  const place = line === undefined ? file : `${file}:${line}`
  return `${place}: ${index === undefined ? '' : `line ${index}: `}${fact}`
}
