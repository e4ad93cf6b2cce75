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
  let out = ''
  for (const { instance, logs, aside } of report.instances) {
    for (const log of logs) out += formatLog(instance, log)
    for (const name of aside) out += `${instance}/${name}: set aside by its writer, not verified\n`
  }
  if (!report.ok) return `${out}does not hold\n`
  return `${out}holds, ${report.authenticated ? 'authenticated by the given key' : 'self-consistent, not authenticated'}\n`
}

function formatLog(instance: string, log: LogReport): string {
  const facts = [`${log.signed} signed`]
  if (log.pruned > 0) facts.push(`${log.pruned} of them deleted by retention`)
  if (log.unsigned > 0) facts.push(`${log.unsigned} not yet signed`)
  if (log.root !== undefined) facts.push(`root ${log.root}`)
  let out = `${instance}/${log.log}: ${facts.join(', ')}\n`
  for (const problem of log.problems) out += `  ${formatProblem(problem)}\n`
  const more = log.problemCount - log.problems.length
  return more > 0 ? `${out}  and ${more} more\n` : out
}

function formatProblem({ file, line, index, fact }: LogProblem): string {
  const place = line === undefined ? file : `${file}:${line}`
  return printable(`${place}: ${index === undefined ? '' : `line ${index}: `}${fact}`)
}
