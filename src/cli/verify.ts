// `auditlb verify`: whether a folder is what was signed.
import { readFile } from 'node:fs/promises'
import { BalancerError } from '../errors.ts'
import type { LogProblem, LogReport } from '../log/log-report.ts'
import { printable } from '../log/summary.ts'
import { type VerifyReport, verifyLog } from '../log/verify.ts'
import { readArgs } from './args.ts'
import type { Verb } from './verb.ts'

export const verify: Verb = {
  name: 'verify',
  summary: 'checks that the lines in a folder are those that were signed, and that none is missing',
  usage: `Usage: auditlb verify DIR [--vkey FILE]

Reads every line below DIR once. A writer may be at work there.

  --vkey FILE  verifier keys, one per line, that were kept outside of DIR. Without it each log is held against the
               key that lies beside it, which whoever can change the log can change as well.

Exit codes: 0 holds, 1 does not hold, 2 unusable arguments or input.
`,
  async run(args, terminal) {
    const { dir, values } = readArgs(args, ['vkey'])
    const vkey = values.vkey === undefined ? undefined : await readKey(values.vkey)
    const report = await verifyLog(dir, { vkey })
    await terminal.out(format(report))
    return report.ok ? 0 : 1
  },
}

async function readKey(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const fact = (error as NodeJS.ErrnoException).code
    throw new BalancerError('log-invalid', `read the verifier key ${path}: ${fact}`, { cause: error })
  }
}

function format(report: VerifyReport): string {
  const lines: string[] = []
  for (const { instance, logs, problems } of report.instances) {
    for (const log of logs) lines.push(...formatLog(instance, log))
    for (const problem of problems) lines.push(`${instance}: ${formatProblem(problem)}`)
  }
  for (const problem of report.problems) lines.push(formatProblem(problem))
  const held = `holds, ${report.authenticated ? 'authenticated by the given key' : 'self-consistent, not authenticated'}`
  lines.push(report.ok ? held : 'does not hold')
  // Names of folders and files are whatever somebody has called them.
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function formatLog(instance: string, log: LogReport): string[] {
  const facts = [`${log.signed} signed`]
  if (log.pruned > 0) facts.push(`${log.pruned} of them deleted by retention`)
  if (log.unsigned > 0) facts.push(`${log.unsigned} not yet signed`)
  if (log.root !== undefined) facts.push(`root ${log.root}`)
  const lines = [`${instance}/${log.log}: ${facts.join(', ')}`]
  for (const problem of log.problems) lines.push(`  ${formatProblem(problem)}`)
  const more = log.problemCount - log.problems.length
  if (more > 0) lines.push(`  and ${more} more`)
  return lines
}

function formatProblem({ file, line, index, fact }: LogProblem): string {
  const place = line === undefined ? file : `${file}:${line}`
  return `${place}: ${index === undefined ? '' : `line ${index}: `}${fact}`
}
