// Verifies an audit folder: every signed line is the one that was signed, and none is missing.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { logNames } from '../sink.ts'
import { findInstances, type InstanceFolder } from './folder.ts'
import type { LogReport } from './log-report.ts'
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
  /** Logs that their writer has set aside, because signed lines were missing or altered. They are not verified. */
  readonly aside: readonly string[]
}

export interface VerifyReport {
  /** Whether there is no problem. */
  readonly ok: boolean
  /** Whether keys from outside were given, and every signature is by one of them. */
  readonly authenticated: boolean
  readonly instances: readonly InstanceReport[]
}

/**
 * Reads every line of a folder once, in bounded memory. A writer may be at work in it. Throws `log-invalid` if the folder
 * cannot be read or the key is none; what is wrong with a log is a problem in its report.
 */
export async function verifyLog(dir: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const given = options.vkey === undefined ? undefined : parseKeys(options.vkey, 'the given verifier key')
  const instances: InstanceReport[] = []
  for (const folder of await findInstances(dir)) instances.push(await verifyInstance(folder, given))
  const ok = instances.every((one) => one.logs.every((log) => log.problemCount === 0))
  return { ok, authenticated: ok && given !== undefined, instances }
}

async function verifyInstance(folder: InstanceFolder, given: Verifier[] | undefined): Promise<InstanceReport> {
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
  const logs: LogReport[] = []
  for (const log of logNames) {
    const report = await verifyOneLog(join(folder.dir, log), log, keys ?? [])
    if (fault !== undefined) report.add({ file: path, fact: fault })
    logs.push(report)
  }
  return { instance: folder.name, dir: folder.dir, logs, aside: folder.aside }
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
