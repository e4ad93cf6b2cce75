// Verifies an audit folder: every signed line is the one that was signed, and none is missing.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { logNames } from '../sink.ts'
import { findInstances, type InstanceFolder } from './folder.ts'
import type { LogProblem, LogReport } from './log-report.ts'
import { parseVkey, type Verifier } from './note.ts'
import { orMissing } from './segments.ts'
import { verifyOneLog } from './verify-log.ts'

export interface VerifyOptions {
  /**
   * Verifier keys, one per line, as kept outside of the folder. Without them each log is held against the key that lies beside it,
   * which whoever can change the log can change as well.
   */
  readonly vkey?: string | undefined
}

export interface InstanceReport {
  readonly instance: string
  readonly dir: string
  readonly logs: readonly LogReport[]
  /**
   * Logs that their writer has set aside, because signed lines were missing or altered. They are not verified, and each is a
   * problem.
   */
  readonly aside: readonly string[]
  /** What is wrong besides what the logs report. */
  readonly problems: readonly LogProblem[]
}

export interface VerifyReport {
  /** Whether there is no problem. */
  readonly ok: boolean
  /** Whether keys from outside were given, and every signature is by one of them. */
  readonly authenticated: boolean
  readonly instances: readonly InstanceReport[]
  /** What is wrong with the folder as a whole. */
  readonly problems: readonly LogProblem[]
}

/**
 * Reads every line of a folder once, in bounded memory. A writer may be at work in it. Throws `log-invalid` if the folder
 * cannot be read or the key is none; what is wrong with a log is a problem in its report.
 */
export async function verifyLog(dir: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const given = options.vkey === undefined ? undefined : parseKeys(options.vkey, 'the given verifier key')
  const instances: InstanceReport[] = []
  const problems: LogProblem[] = []
  const used = new Set<Verifier>()
  const folders = await findInstances(dir)
  for (const folder of folders) instances.push(await verifyInstance(folder, given, used))
  if (folders[0]!.root && folders.length > 1) {
    problems.push({ file: dir, fact: 'it is the folder of an instance, and holds folders of others' })
  }
  for (const key of given ?? []) {
    const named = `${key.name}+${key.id.toString('hex')}`
    if (!used.has(key)) problems.push({ file: dir, fact: `the given key ${named} has signed nothing in it` })
  }
  const ok =
    problems.length === 0 &&
    instances.every((one) => one.problems.length === 0 && one.logs.every((log) => log.problemCount === 0))
  return { ok, authenticated: ok && given !== undefined, instances, problems }
}

async function verifyInstance(
  folder: InstanceFolder,
  given: Verifier[] | undefined,
  used: Set<Verifier>,
): Promise<InstanceReport> {
  let keys = given
  let fault: string | undefined
  const path = join(folder.dir, 'vkey')
  if (keys === undefined) {
    try {
      const text = await orMissing(readFile(path, 'utf8'), undefined)
      if (text === undefined) fault = 'the verifier key is missing'
      else keys = parseKeys(text, path)
    } catch (error) {
      fault = reasonOf(error)
    }
  }
  const { name, dir, root, aside } = folder
  // A folder that was asked for by itself may be a copy of another name.
  const signers = { keys: keys ?? [], instance: root ? undefined : name, used }
  const logs: LogReport[] = []
  for (const log of logNames) {
    const report = await verifyOneLog(join(dir, log), log, signers)
    if (fault !== undefined) report.add({ file: path, fact: fault })
    logs.push(report)
  }
  const problems: LogProblem[] = aside.map((one) => ({
    file: join(dir, one),
    fact: 'set aside by its writer, for signed lines were missing or altered; not verified',
  }))
  const writers = new Set(logs.flatMap(({ signedBy }) => signedBy ?? []))
  if (writers.size > 1) {
    problems.push({ file: dir, fact: `its logs are of different writers: ${[...writers].sort().join(', ')}` })
  }
  return { instance: name, dir, logs, aside, problems }
}

function parseKeys(text: string, what: string): Verifier[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) throw new BalancerError('log-invalid', `${what} is empty`)
  try {
    return lines.map(parseVkey)
  } catch (error) {
    throw new BalancerError('log-invalid', `${what}: ${reasonOf(error)}`, { cause: error })
  }
}
