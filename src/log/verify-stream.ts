// Verifies a stream of lines and checkpoints, as stdoutSink writes them where there is no disk to keep a log on.
import { BalancerError } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import { maxLineBytes } from '../sink.ts'
import { type GivenRoster, verifyStreamSchema } from './given.ts'
import type { LogProblem } from './log-report.ts'
import { instanceOf, Pins } from './pins.ts'
import { prefixOf, StreamItems } from './stream-items.ts'
import { StreamKeys } from './stream-keys.ts'
import { splitLines } from './stream-lines.ts'
import { StreamLog } from './stream-log.ts'
import type { StreamLogReport } from './stream-report.ts'
import { parseGiven } from './verify-keys.ts'

// A part of a line holds its text as JSON, in which one byte can take six.
const maxStreamLine = 6 * maxLineBytes

/** `undefined` is refused of `vkey`, `roster` and `checkpoints`: leave out what shall not be checked. */
export interface VerifyStreamOptions {
  /** Verifier keys, one per line, as kept elsewhere. Without them each log is held against the first key that comes with a checkpoint of it. */
  readonly vkey?: string
  /** Name of the sink that wrote the stream: what a signed `audit.gap` says that it did not get may be missing. Default `stdout`. */
  readonly sink?: string | undefined
  /** The roster of a witness, as JSON or as `witness.roster()` returns it: each log must have the lines that the witness has seen, and may have more. */
  readonly roster?: GivenRoster
  /** Checkpoints that were kept elsewhere, one after the other: each log must be here, and have the lines that they cover, whoever signed them. */
  readonly checkpoints?: string
}

export interface StreamReport {
  /** Whether there is no problem. */
  readonly ok: boolean
  /** Whether keys were given, and one of them, or one that they led to, has signed lines of every log that has lines here. */
  readonly authenticated: boolean
  /** In the order in which they came. */
  readonly logs: readonly StreamLogReport[]
  /** Lines that are none of ours, and were passed over. */
  readonly others: number
  /** Lines of which a part did not come: of long ones, and of the last one where the stream is cut off within it. */
  readonly incomplete: number
  /** What is wrong with the stream as a whole. */
  readonly problems: readonly LogProblem[]
  /** Origins that the roster has seen, of instances that are not here. */
  readonly elsewhere: readonly string[]
}

/**
 * Reads a stream once. Memory grows with the number of logs in it, not of lines. Lines of different logs may be mixed, and lines of others between
 * them; those of one log come in order, and may come again. A stream that begins in the middle is checked from its first checkpoint on. Throws
 * `log-invalid` if what was given is not what it should be, and `config-invalid` for an option that is none, or `undefined`; and if there is no line of a log in the stream, unless something was given that
 * tells what must be there.
 */
export async function verifyStream(
  input: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  options: VerifyStreamOptions = {},
): Promise<StreamReport> {
  const { vkey, sink, ...seenBefore } = parseOptions(verifyStreamSchema, options, 'verifyStream')
  const { keys: given, witnesses = [] } = parseGiven(vkey, 'the given verifier key')
  const pins = Pins.parse(seenBefore)
  const keys = new StreamKeys(given)
  const items = new StreamItems()
  const logs = new Map<string, StreamLog>()
  const problems: LogProblem[] = []
  const logOf = (origin: string): StreamLog => {
    let log = logs.get(origin)
    if (log === undefined) {
      log = new StreamLog(origin, keys, sink, pins.of(origin))
      logs.set(origin, log)
    }
    return log
  }
  const seen = { others: 0, torn: 0, ours: 0, returns: 0, prefix: undefined as string | undefined }
  let at = 0
  for await (const block of splitLines(input, maxStreamLine)) {
    for (const bytes of block.lines) {
      at++
      const item = bytes === undefined ? undefined : items.read(bytes)
      if (item?.kind === 'event') logOf(item.origin).line(item, at)
      else if (item?.kind === 'checkpoint') logOf(item.origin).checkpoint(item, at)
      else if (item?.kind === 'hashes') logOf(item.origin).hashes(item, at)
      else if (item?.kind === 'fault') problems.push({ file: '-', line: at, fact: item.fact })
      // The end of a stream may be cut off anywhere.
      else if (item?.kind === 'damaged' && block.torn) seen.torn++
      else if (item?.kind === 'damaged') problems.push({ file: '-', line: at, fact: 'a line of a log, and damaged' })
      else if (item?.kind !== 'part') {
        seen.others++
        if (bytes !== undefined && logs.size === 0) seen.prefix ??= prefixOf(bytes)
        continue
      }
      seen.ours++
      if (bytes?.at(-1) === 0x0d) seen.returns++
    }
  }
  const reports = [...logs.values()].map((log) => {
    log.end()
    return log.report
  })
  const nothing = nothingIn(reports, seen.prefix)
  if (nothing !== undefined) {
    if (pins.none && vkey === undefined) throw new BalancerError('log-invalid', nothing)
    if (reports.length > 0 || seen.prefix !== undefined) problems.push({ file: '-', fact: nothing })
  }
  if (seen.ours > 0 && seen.returns === seen.ours) problems.push({ file: '-', fact: converted })
  // A stream has no cosignatures.
  for (const { name, id } of [...keys.unused(), ...witnesses]) {
    problems.push({ file: '-', fact: `the given key ${name}+${id.toString('hex')} has signed nothing in it` })
  }
  const { facts, elsewhere } = pins.absent(new Set([...logs.keys()].map(instanceOf)))
  problems.push(...facts.map((fact) => ({ file: '-', fact })))
  const ok = problems.length === 0 && reports.every(({ problemCount }) => problemCount === 0)
  const authenticated = ok && (given?.length ?? 0) > 0 && isSigned(reports)
  const { others, torn } = seen
  return { ok, authenticated, logs: reports, others, incomplete: items.incomplete + torn, problems, elsewhere }
}

const converted =
  'all lines of logs end with a carriage return, which is none of their bytes: the stream went through a terminal (docker run -t) or was converted'

/** Why a stream is none that could be verified. */
function nothingIn(logs: readonly StreamLogReport[], prefix: string | undefined): string | undefined {
  if (logs.some(({ lines }) => lines > 0)) return undefined
  if (logs.length > 0) {
    const sizes = logs
      .map(({ origin, covered }) => `${origin}: ${covered === undefined ? 'none is valid' : `${covered} lines`}`)
      .join(', ')
    const why = 'its lines were taken out, or it must be read from further back'
    return `the stream has checkpoints (${sizes}) and no line of a log: nothing can be verified; ${why}`
  }
  const fact = 'the stream has no line and no checkpoint of a log'
  if (prefix === undefined) return fact
  return `${fact}, but some behind a prefix (${JSON.stringify(prefix)}), which must be taken off, as docker compose logs --no-log-prefix does`
}

/** A log without lines has nothing that could be signed or not. */
const isSigned = (logs: readonly StreamLogReport[]): boolean =>
  logs.some(({ lines }) => lines > 0) && logs.every(({ lines, signedBy }) => lines === 0 || signedBy !== undefined)
