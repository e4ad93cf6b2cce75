// Verifies an audit folder: all instances in it, and all logs of each.
import { join } from 'node:path'
import { parseOptions } from '../parse.ts'
import { holdsNone, lookForInstances } from './folder.ts'
import { type GivenRoster, verifyLogSchema } from './given.ts'
import type { LogProblem } from './log-report.ts'
import { instanceOf, Pins } from './pins.ts'
import { type InstanceReport, verifyInstance } from './verify-instance.ts'
import { parseGiven } from './verify-keys.ts'

/** `undefined` is refused: leave out what shall not be checked. */
export interface VerifyOptions {
  /**
   * Verifier keys, one per line, as kept outside of the folder. Without them each log is held against the key that lies beside it,
   * which whoever can change the log can change as well. A key that was replaced since leads to its successors.
   * The key of a witness makes its statements count: what it holds of a log, and of what it knows the hashes only.
   */
  readonly vkey?: string
  /** The roster of a witness, as JSON or as `witness.roster()` returns it: each log must have the lines that the witness has seen, and may have more. */
  readonly roster?: GivenRoster
  /**
   * Checkpoints that were kept outside of the folder, one after the other: each log must still begin with the lines that they cover. They count
   * because of where they were kept: nobody asks who signed them. Each of the logs must be here.
   */
  readonly checkpoints?: string
}

export interface VerifyReport {
  /** Whether there is no problem. */
  readonly ok: boolean
  /** Whether keys from outside were given, and each log is signed by one of them, or by one that they led to. */
  readonly authenticated: boolean
  readonly instances: readonly InstanceReport[]
  /** What is wrong with the folder as a whole. */
  readonly problems: readonly LogProblem[]
  /** Origins that the roster has seen, of instances that are not here. */
  readonly elsewhere: readonly string[]
}

/**
 * Reads every line of a folder once, in bounded memory. A writer may be at work in it. Throws `log-invalid` if the folder
 * cannot be read, or what was given is not what it should be, and `config-invalid` for an option that is none, or `undefined`; what is wrong with a log is a problem in its report. A folder without any
 * log is unusable as well, unless something was given that tells what must be there.
 */
export async function verifyLog(dir: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { vkey: given, ...seen } = parseOptions(verifyLogSchema, options, 'verifyLog')
  const { keys, witnesses } = parseGiven(given, 'the given verifier key')
  const pins = Pins.parse(seen)
  const used = new Set<string>()
  const instances: InstanceReport[] = []
  const problems: LogProblem[] = []
  const { instances: folders, unreadable } = await lookForInstances(dir)
  const isGiven = !pins.none || given !== undefined
  if (folders.length === 0 && unreadable.length === 0 && !isGiven) throw holdsNone(dir)
  for (const { path: file, fact } of unreadable) problems.push({ file, fact })
  for (const folder of folders) instances.push(await verifyInstance(folder, { keys, witnesses, pins, used }))
  if (folders[0]?.root && folders.length > 1) {
    problems.push({ file: dir, fact: 'it is the folder of an instance, and holds folders of others' })
  }
  for (const { name, id, vkey } of [...(keys ?? []), ...(witnesses ?? [])]) {
    const named = `${name}+${id.toString('hex')}`
    if (!used.has(vkey)) problems.push({ file: dir, fact: `the given key ${named} has signed nothing in it` })
  }
  problems.push(...doubles(instances))
  const { facts, elsewhere } = pins.absent(new Set(instances.flatMap(namesOf)))
  problems.push(...facts.map((fact) => ({ file: dir, fact })))
  const ok =
    problems.length === 0 &&
    instances.every((one) => one.problems.length === 0 && one.logs.every((log) => log.problemCount === 0))
  return { ok, authenticated: ok && keys !== undefined && isSigned(instances), instances, problems, elsewhere }
}

/** Whether the signature of a writer was checked of each log. */
const isSigned = (instances: readonly InstanceReport[]): boolean =>
  instances.length > 0 && instances.every(({ logs }) => logs.every(({ signedBy }) => signedBy !== undefined))

/** The writers by whom an instance is signed; where nothing tells, the name of its folder. */
function namesOf({ instance, logs, aside }: InstanceReport): string[] {
  const origins = [...logs, ...aside.map(({ report }) => report)].flatMap(({ origin }) => origin ?? [])
  return origins.length > 0 ? origins.map(instanceOf) : [instance.replace(/~\d+$/, '')]
}

/** Logs of one origin: one of them is a copy, or somebody has moved folders about. */
function doubles(instances: readonly InstanceReport[]): LogProblem[] {
  const found = new Map<string, string>()
  return instances.flatMap(({ dir, logs }) =>
    logs.flatMap(({ log, origin }) => {
      const file = join(dir, log)
      const other = origin === undefined ? undefined : found.get(origin)
      if (origin !== undefined && other === undefined) found.set(origin, file)
      return other === undefined ? [] : [{ file, fact: `it is the log ${origin}, and so is ${other}` }]
    }),
  )
}
