// What a witness says of the logs of a folder that it holds, and by which key.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseWitnessKey, type WitnessKey } from './cosignature.ts'
import { orMissing } from './segments.ts'
import { openStatement, type Statement, statementPath } from './statement.ts'

/** The witnesses whose statements count: those given, or the one whose key lies beside the logs. */
export async function witnessKeys(
  instanceDir: string,
  given: readonly WitnessKey[] | undefined,
): Promise<readonly WitnessKey[]> {
  if (given !== undefined) return given
  const text = await orMissing(readFile(join(instanceDir, 'witness.vkey'), 'utf8'), undefined)
  try {
    return text === undefined ? [] : [parseWitnessKey(text)]
  } catch {
    return []
  }
}

/** What a witness states of a log; undefined of a log that none holds. */
export type Stated = { readonly statement: Statement; readonly by: WitnessKey } | { readonly fault: string }

export async function readStatement(logDir: string, keys: readonly WitnessKey[]): Promise<Stated | undefined> {
  const note = await orMissing(readFile(statementPath(logDir)), undefined)
  if (note === undefined) return undefined
  let fault = 'it is not signed by a known key'
  for (const by of keys) {
    const opened = openStatement(note, [by.notes])
    if (!('fault' in opened)) return { statement: opened, by }
    fault = opened.fault
  }
  return { fault }
}
