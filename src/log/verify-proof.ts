// Checks the proof of one line, without the log that it is from.
import { canonical, type Json } from '../canonical.ts'
import { BalancerError } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { parseLine, placeFault } from './envelope.ts'
import { verifyProofSchema } from './given.ts'
import { leafHash } from './merkle.ts'
import { openNote, textOfNote, type Verifier } from './note.ts'
import { verifyInclusion } from './proof.ts'
import { parseProof } from './proof-file.ts'
import { saysJust } from './same-json.ts'
import { parseGiven } from './verify-keys.ts'

/** `undefined` is refused: leave out what shall not be checked. */
export interface VerifyProofOptions {
  /** Verifier keys, one per line, as got from the writer. Without them it is not known who signed the checkpoint. */
  readonly vkey?: string
  /**
   * The line, where the proof does not bring it along or another one is meant: its bytes, or the same JSON with any order of keys and any white
   * space, as a database gives it back.
   */
  readonly line?: string | Uint8Array
}

export interface ProofReport {
  /** Whether the line is in the log of that origin, at that index. */
  readonly ok: boolean
  /** Whether it holds, and one of the given keys signed the checkpoint. */
  readonly authenticated: boolean
  readonly origin: string
  readonly index: number
  /** How many lines the checkpoint covers. */
  readonly size: number
  /** The line that is proved, as it stands in the log. Undefined if it does not hold. */
  readonly line: string | undefined
  /** Why it does not hold. */
  readonly fault: string | undefined
}

const unusable = (fact: string): BalancerError => new BalancerError('log-invalid', `the proof: ${fact}`)

/** Throws `log-invalid` for what is no proof, for keys that are none, and if there is no line; `config-invalid` for an option that is none, or `undefined`. */
export function verifyProof(text: string, options: VerifyProofOptions = {}): ProofReport {
  const { vkey, line } = parseOptions(verifyProofSchema, options, 'verifyProof')
  const keys = parseGiven(vkey, 'the given verifier key').keys
  const parsed = parseProof(text)
  if (typeof parsed === 'string') throw unusable(parsed)
  const { extra, index, proof, note } = parsed
  const checkpoint = parseCheckpoint(textOfNote(note) ?? '')
  if (checkpoint === undefined) throw unusable('it has no checkpoint')
  const forms = line !== undefined ? formsOf(line) : extra !== undefined ? [extra] : undefined
  if (forms === undefined) throw unusable('it does not bring the line along, which must be given')
  const { origin, size, root } = checkpoint
  const proved = forms.find((form) => verifyInclusion(index, size, leafHash(form), proof, root))?.toString('utf8')
  const fault =
    signatureFault(note, origin, keys) ??
    (proved === undefined ? 'the line is not the one at this index of the signed tree' : undefined) ??
    placeFault(parseLine(proved!), origin, index)
  const ok = fault === undefined
  return { ok, authenticated: ok && keys !== undefined, origin, index, size, line: ok ? proved : undefined, fault }
}

function signatureFault(note: string, origin: string, keys: readonly Verifier[] | undefined): string | undefined {
  const opened = openNote(Buffer.from(note), keys ?? [])
  if (!('fault' in opened)) {
    return origin.startsWith(`${opened.signedBy}/`) ? undefined : `${opened.signedBy} does not sign for ${origin}`
  }
  // Nobody said who should have signed.
  if (keys === undefined && opened.unknown) return undefined
  return `the checkpoint is not valid: ${opened.fault}`
}

/** The line as it stands, without its line end, and in canonical form, unless that would leave out some of what it shows. */
function formsOf(line: string | Uint8Array): Buffer[] {
  const bytes = Buffer.from(line as Uint8Array)
  const text = bytes.toString('utf8')
  const event = parseLine(text)
  const end = text.endsWith('\r\n') ? 2 : text.endsWith('\n') ? 1 : 0
  const forms = [bytes.subarray(0, bytes.length - end)]
  if (event !== undefined && saysJust(text, event)) forms.push(Buffer.from(canonicalOf(event as Json)))
  return forms
}

// What JSON can write and no line may hold, such as 1e999, is not the line.
function canonicalOf(event: Json): string {
  try {
    return canonical(event)
  } catch {
    return ''
  }
}
