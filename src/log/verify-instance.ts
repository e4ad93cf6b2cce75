// Verifies what one writer has written: its three logs, and those that it has set aside.
import { join } from 'node:path'
import { type LogName, logNames } from '../sink.ts'
import type { InstanceFolder } from './folder.ts'
import type { LogProblem, LogReport } from './log-report.ts'
import type { Verifier } from './note.ts'
import type { Pins } from './pins.ts'
import { readKeys } from './verify-keys.ts'
import { type Signers, verifyOneLog } from './verify-log.ts'

/** A log that its writer has set aside, because signed lines were missing or altered. */
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
  readonly pins: Pins
  /** Text of the given keys that have signed something. Written by verifyInstance. */
  readonly used: Set<string>
}

export async function verifyInstance(folder: InstanceFolder, given: Given): Promise<InstanceReport> {
  const { name, dir, root } = folder
  // A folder that was asked for by itself may be a copy of another name.
  const instance = root ? undefined : name
  const logDirs = logNames.map((log) => join(dir, log))
  const logs = await verifyLogs(join(dir, 'vkey'), logDirs, logNames, instance, given)
  const aside: AsideReport[] = []
  const problems: LogProblem[] = []
  for (const one of folder.aside) {
    const path = join(dir, one)
    const log = one.slice(0, one.indexOf('.')) as LogName
    const [report] = await verifyLogs(join(path, 'vkey'), [path], [log], instance, given)
    aside.push({ name: one, report: report! })
    problems.push({ file: path, fact: 'set aside by its writer, for signed lines were missing or altered' })
  }
  const writers = new Set(logs.flatMap(({ signedBy }) => signedBy ?? []))
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
  instance: string | undefined,
  given: Given,
): Promise<LogReport[]> {
  const read = () => readKeys(vkeyPath, dirs, given.keys)
  const { keys, kept, fault } = await read()
  const renew = async () => (await read()).keys
  const signers: Signers = { keys, renew, instance, used: given.used }
  // The old key has signed what leads to the new one.
  for (const { change } of [...kept.values()].flat()) if (change !== undefined) given.used.add(change.from.vkey)
  const reports: LogReport[] = []
  for (const [i, dir] of dirs.entries()) {
    const report = await verifyOneLog(dir, logs[i]!, signers, { kept: kept.get(dir) ?? [], pins: given.pins })
    if (fault !== undefined) report.add({ file: vkeyPath, fact: fault })
    reports.push(report)
  }
  return reports
}
