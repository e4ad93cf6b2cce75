// The command: finds the verb, runs it, and turns what it throws into a message and an exit code.
import packageJson from '../../package.json' with { type: 'json' }
import { BalancerError, reasonOf } from '../errors.ts'
import { printable } from '../log/summary.ts'
import { prove } from './prove.ts'
import { prune } from './prune.ts'
import { query } from './query.ts'
import { type ExitCode, InputError, type Terminal, UsageError, type Verb } from './verb.ts'
import { verify } from './verify.ts'
import { verifyProofVerb } from './verify-proof.ts'

const verbs: readonly Verb[] = [verify, query, prove, verifyProofVerb, prune]

const usage = `Usage: auditlb <verb> [arguments]

${verbs.map((verb) => `  ${verb.name.padEnd(13)} ${verb.summary}`).join('\n')}

  --help     tells more about a verb: auditlb verify --help
  --version  prints the version

Exit codes: 0 holds, 1 does not hold, 2 unusable arguments or input.
`

export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const [name, ...rest] = args
  if (name === '--version') return print(terminal, `${packageJson.version}\n`)
  if (name === '--help' || name === '-h') return print(terminal, usage)
  const verb = verbs.find((one) => one.name === name)
  if (verb === undefined) {
    const fault = name === undefined ? 'a verb is missing' : `there is no verb ${JSON.stringify(name)}`
    return refuse(terminal, `${fault}\n\n${usage}`)
  }
  if (rest.includes('--help') || rest.includes('-h')) return print(terminal, verb.usage)
  try {
    return await verb.run(rest, terminal)
  } catch (error) {
    if (error instanceof UsageError) return refuse(terminal, `${verb.name}: ${error.message}\n\n${verb.usage}`)
    if (error instanceof BalancerError || error instanceof InputError)
      return refuse(terminal, `${verb.name}: ${error.message}\n`)
    // A file that cannot be read is unusable input as well.
    if (error instanceof Error && 'syscall' in error) return refuse(terminal, `${verb.name}: ${reasonOf(error)}\n`)
    throw error
  }
}

async function print(terminal: Terminal, text: string): Promise<ExitCode> {
  await terminal.out(text)
  return 0
}

async function refuse(terminal: Terminal, text: string): Promise<ExitCode> {
  await terminal.err(`auditlb: ${text.split('\n').map(printable).join('\n')}`)
  return 2
}
