// Who may have signed the logs of an instance: given keys, or the one beside the logs, and those that they led to.
import { join } from 'node:path'
import { BalancerError, reasonOf } from '../errors.ts'
import { isWitnessKey, parseWitnessKey, type WitnessKey } from './cosignature.ts'
import { type KeptNote, readKeptNotes } from './kept-notes.ts'
import { followKeys } from './key-line.ts'
import { unreadable } from './log-report.ts'
import { parseVkey, type Verifier } from './note.ts'
import { readRegular } from './regular-file.ts'
import { orMissing } from './segments.ts'

/** Reads verifier keys, one per line. Throws `log-invalid`, naming `what` they are. */
function parseKeys(text: string, what: string): Verifier[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) throw new BalancerError('log-invalid', `${what} is empty`)
  try {
    return lines.map(parseVkey)
  } catch (error) {
    throw new BalancerError('log-invalid', `${what}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Reads given keys: those of writers, and those of witnesses. Throws as parseKeys does. */
export function parseGiven(
  text: string | undefined,
  what: string,
): { readonly keys?: Verifier[]; readonly witnesses?: WitnessKey[] } {
  if (text === undefined) return {}
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const ofWitnesses = lines.filter(isWitnessKey)
  const keys = ofWitnesses.length > 0 && ofWitnesses.length === lines.length ? [] : undefined
  try {
    const witnesses = ofWitnesses.map(parseWitnessKey)
    return { keys: keys ?? parseKeys(lines.filter((line) => !isWitnessKey(line)).join('\n'), what), witnesses }
  } catch (error) {
    if (error instanceof BalancerError) throw error
    throw new BalancerError('log-invalid', `${what}: ${reasonOf(error)}`, { cause: error })
  }
}

export interface KeysOnDisk {
  readonly keys: readonly Verifier[]
  /** By folder of the log. */
  readonly kept: ReadonlyMap<string, readonly KeptNote[]>
  /** Why there is no key beside the logs. */
  readonly fault?: string
}

/**
 * A change that one log tells of holds for the others of its writer as well: retention may have deleted it there. Given keys are followed to
 * newer ones only, for a key that was replaced may be known to others.
 */
export async function readKeys(
  vkeyPath: string,
  logDirs: readonly string[],
  given: readonly Verifier[] | undefined,
): Promise<KeysOnDisk> {
  const kept = new Map<string, readonly KeptNote[]>()
  // What cannot be read is told when the log is verified.
  for (const dir of logDirs) kept.set(dir, await readKeptNotes(dir).catch((error: unknown) => noNotes(dir, error)))
  const changes = [...kept.values()].flat().flatMap(({ change }) => change ?? [])
  if (given !== undefined) return { keys: followKeys(given, changes), kept }
  try {
    const text = await orMissing(readRegular(vkeyPath), undefined)
    if (text === undefined) return { keys: [], kept, fault: 'the verifier key is missing' }
    return { keys: followKeys(parseKeys(text.toString('utf8'), vkeyPath), changes, true), kept }
  } catch (error) {
    return { keys: [], kept, fault: reasonOf(error) }
  }
}

function noNotes(dir: string, error: unknown): KeptNote[] {
  const { file, fact } = unreadable(join(dir, 'keys'), error)
  return [{ file, size: 0, note: Buffer.alloc(0), fault: fact }]
}
