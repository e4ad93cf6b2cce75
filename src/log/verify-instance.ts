// Verifies what one writer has written: its three logs, and those that it has set aside.
import { join } from 'node:path'
import { type LogName, logNames } from '../sink.ts'
import { asideFact } from './aside.ts'
import type { WitnessKey } from './cosignature.ts'
import type { InstanceFolder } from './folder.ts'
import type { LogProblem, LogReport } from './log-report.ts'
import type { Verifier } from './note.ts'
import type { Pins } from './pins.ts'
import type { Signers } from './verify-checkpoint.ts'
import { readKeys } from './verify-keys.ts'
import { verifyOneLog } from './verify-log.ts'
import { readStatement, type Stated, witnessesOf } from './witness-copy.ts'

/** A log that its writer has set aside, because it could not go on with it: the problem of the instance that names it tells why. */
export interface AsideReport {
  /** Name of its folder. */
  readonly name: string
  readonly report: LogReport
}

export interface InstanceReport {
  readonly instance: string
  readonly dir: string
  readonly logs: readonly LogReport[]
  /** Each is a problem, whatever its report says. */
  readonly aside: readonly AsideReport[]
  /** What is wrong besides what the logs report. */
  readonly problems: readonly LogProblem[]
}

/** What comes from outside of the folder. */
export interface Given {
  readonly keys: readonly Verifier[] | undefined
  /** Keys of witnesses; undefined where no keys are given at all. */
  readonly witnesses: readonly WitnessKey[] | undefined
  readonly pins: Pins
  /** Text of the given keys that have signed something. Written by verifyInstance. */
  readonly used: Set<string>
}

export async function verifyInstance(folder: InstanceFolder, given: Given): Promise<InstanceReport> {
  const { name, dir, root } = folder
  const witnesses = await witnessesOf(dir, given.witnesses, given.pins.none)
  const stated = new Map<LogName, Stated>()
  for (const { log, dir: logDir } of folder.logs) {
    const found = await readStatement(logDir, witnesses)
    if (found !== undefined) stated.set(log, found)
  }
  const isCopy = [...stated.values()].some((one) => 'statement' in one)
  // A witness has the logs that something came of; a writer has all.
  const names = isCopy ? folder.logs.map(({ log }) => log) : logNames
  const logDirs = names.map((log) => join(dir, log))
  // A folder that was asked for by itself may be a copy of another name; who has folders of services by other rules is no witness.
  const of = { instance: root ? undefined : folder.instance, service: isCopy ? folder.service : undefined }
  const logs = await verifyLogs(join(dir, 'vkey'), logDirs, names, of, given, stated)
  const writers = new Set(logs.flatMap(({ signedBy }) => signedBy ?? []))
  const aside: AsideReport[] = []
  const problems: LogProblem[] = witnesses.problem === undefined ? [] : [witnesses.problem]
  for (const one of folder.aside) {
    const path = join(dir, one)
    const log = one.slice(0, one.indexOf('.')) as LogName
    const [report] = await verifyLogs(join(path, 'vkey'), [path], [log], of, given)
    aside.push({ name: one, report: report! })
    problems.push({ file: path, fact: await asideFact(path, [...writers][0], report!) })
  }
  if (writers.size > 1) {
    problems.push({ file: dir, fact: `its logs are of different writers: ${[...writers].sort().join(', ')}` })
  }
  return { instance: name, dir, logs, aside, problems }
}

/** Logs that have their keys in common. */
async function verifyLogs(
  vkeyPath: string,
  dirs: readonly string[],
  logs: readonly LogName[],
  of: Pick<Signers, 'instance' | 'service'>,
  given: Given,
  stated: ReadonlyMap<LogName, Stated> = new Map(),
): Promise<LogReport[]> {
  const read = () => readKeys(vkeyPath, dirs, given.keys)
  const { keys, kept, fault } = await read()
  const renew = async () => (await read()).keys
  const signers: Signers = { keys, renew, ...of, used: given.used }
  // The old key has signed what leads to the new one.
  for (const { change } of [...kept.values()].flat()) if (change !== undefined) given.used.add(change.from.vkey)
  const reports: LogReport[] = []
  for (const [i, dir] of dirs.entries()) {
    const log = logs[i]!
    const said = stated.get(log)
    if (said !== undefined && 'by' in said) given.used.add(said.by.vkey)
    const report = await verifyOneLog(dir, log, signers, { kept: kept.get(dir) ?? [], pins: given.pins, stated: said })
    // A witness gets the key of a log with its first checkpoint.
    if (fault !== undefined && (report.origin === undefined || report.signed > 0 || said === undefined))
      report.add({ file: vkeyPath, fact: fault })
    reports.push(report)
  }
  return reports
}
