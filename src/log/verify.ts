// Verifies an audit folder: all instances in it, and all logs of each.
import { findInstances } from './folder.ts'
import type { LogProblem } from './log-report.ts'
import { instanceOf, Pins, parsePinnedCheckpoints, parseRoster } from './pins.ts'
import { type InstanceReport, verifyInstance } from './verify-instance.ts'
import { parseGiven } from './verify-keys.ts'

export interface VerifyOptions {
  /**
   * Verifier keys, one per line, as kept outside of the folder. Without them each log is held against the key that lies beside it,
   * which whoever can change the log can change as well. A key that was replaced since leads to its successors.
   * The key of a witness makes its statements count: what it holds of a log, and of what it knows the hashes only.
   */
  readonly vkey?: string | undefined
  /** The roster of a witness, as JSON: each log must have the lines that the witness has seen, and may have more. */
  readonly roster?: string | undefined
  /**
   * Checkpoints that were kept outside of the folder, one after the other: each log must still begin with the lines that they cover. They count
   * because of where they were kept: nobody asks who signed them.
   */
  readonly checkpoints?: string | undefined
}

export interface VerifyReport {
  /** Whether there is no problem. */
  readonly ok: boolean
  /** Whether keys from outside were given, and every signature is by one of them, or by one that they led to. */
  readonly authenticated: boolean
  readonly instances: readonly InstanceReport[]
  /** What is wrong with the folder as a whole. */
  readonly problems: readonly LogProblem[]
  /** Origins that the roster or a given checkpoint has seen, of instances that are not here. */
  readonly elsewhere: readonly string[]
}

/**
 * Reads every line of a folder once, in bounded memory. A writer may be at work in it. Throws `log-invalid` if the folder
 * cannot be read, or what was given is not what it should be; what is wrong with a log is a problem in its report.
 */
export async function verifyLog(dir: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { keys, witnesses } = parseGiven(options.vkey, 'the given verifier key')
  const pins = new Pins([
    ...(options.roster === undefined ? [] : parseRoster(options.roster)),
    ...(options.checkpoints === undefined ? [] : parsePinnedCheckpoints(options.checkpoints)),
  ])
  const used = new Set<string>()
  const instances: InstanceReport[] = []
  const problems: LogProblem[] = []
  const folders = await findInstances(dir)
  for (const folder of folders) instances.push(await verifyInstance(folder, { keys, witnesses, pins, used }))
  if (folders[0]!.root && folders.length > 1) {
    problems.push({ file: dir, fact: 'it is the folder of an instance, and holds folders of others' })
  }
  for (const { name, id, vkey } of [...(keys ?? []), ...(witnesses ?? [])]) {
    const named = `${name}+${id.toString('hex')}`
    if (!used.has(vkey)) problems.push({ file: dir, fact: `the given key ${named} has signed nothing in it` })
  }
  const elsewhere: string[] = []
  const present = new Set(instances.flatMap(namesOf))
  for (const { origin, by } of pins.unmet()) {
    if (!present.has(instanceOf(origin))) elsewhere.push(origin)
    else
      problems.push({ file: dir, fact: `${by} has seen ${origin}, and there is no such log: it was replaced or lost` })
  }
  const ok =
    problems.length === 0 &&
    instances.every((one) => one.problems.length === 0 && one.logs.every((log) => log.problemCount === 0))
  return { ok, authenticated: ok && keys !== undefined, instances, problems, elsewhere }
}

/** The name of the folder, and that by which it signs: a folder that was asked for by itself may have another one. */
const namesOf = ({ instance, logs }: InstanceReport): (string | undefined)[] => [
  instance,
  ...logs.map(({ origin }) => (origin === undefined ? undefined : instanceOf(origin))),
]
