// stdoutSink: lines and checkpoints to standard output, as JSON, or readable and coloured on a terminal.
import { z } from 'zod'
import { severity } from '../events.ts'
import { type LoggedEvent, member, parseLine } from '../log/envelope.ts'
import { summary } from '../log/summary.ts'
import { parseOptions } from '../parse.ts'
import { env, stdout } from '../runtime.ts'
import type { Batch, Sink } from '../sink.ts'
import { filterSchema } from '../sink-filter.ts'
import { chunked } from './shared/chunks.ts'
import { checkpointLine, hashLines, newerThan } from './shared/evidence.ts'
import { filtered, nameSchema } from './shared/options.ts'
import { Output } from './stdout/output.ts'

export const stdoutSinkSchema = z.strictObject({
  /** The sink's name in faults, gaps and cursors. Default `stdout`. */
  name: nameSchema.default('stdout'),
  /**
   * `json` writes the lines as they are, `readable` a short text for each, `auto` readable text on a
   * terminal. There, warnings are yellow and errors red, unless `NO_COLOR` is set. Default `auto`.
   */
  format: z.enum(['auto', 'json', 'readable']).default('auto'),
  /** Whether checkpoints are written between the lines, as JSON: `… | auditlb verify -` needs them. Not with `readable`. Default true. */
  checkpoints: z.boolean().default(true),
  /**
   * Longest line in bytes, its end not counted; a longer one comes as chunks. Container runtimes cut a line after 16,384 bytes, without
   * telling. At least 4,096; false for no limit. Not with `readable`. Default 16,000.
   */
  maxLineBytes: z
    .union([z.int().min(4096), z.literal(false)], { error: 'expected an integer from 4,096, or false' })
    .default(16_000),
  filter: filterSchema.optional(),
})
export type StdoutSinkOptions = z.input<typeof stdoutSinkSchema>

/**
 * Writes each line to standard output within 50 ms, and none twice for a reader that is slow. No more than one batch is ever on its
 * way. A reader that went away (EPIPE) fails the write, as any fault does: the lines wait in the log.
 */
export function stdoutSink(options: StdoutSinkOptions = {}): Sink {
  const config = parseOptions(stdoutSinkSchema, options, 'stdoutSink')
  const { name, format, maxLineBytes } = config
  const pretty = format === 'readable' || (format === 'auto' && stdout.isTTY === true)
  // A reader that stalls does not lose what was written, and must not get it again: a write that has not called back is waited
  // for, whatever comes meanwhile. By origin, the last index that was written: the same lines can come in another batch.
  const written = new Map<string, number>()
  const output = new Output()
  let writing: Promise<void> | undefined
  const inTurn = async (place: string, index: number, make: () => string, signal: AbortSignal): Promise<void> => {
    while (writing !== undefined) await settled(writing, signal)
    const text = make()
    if (text === '') return
    const before = written.get(place)
    written.set(place, index)
    writing = output.write(text)
    try {
      await writing
    } catch (error) {
      // Nobody has read it: it comes again.
      if (before === undefined) written.delete(place)
      else written.set(place, before)
      throw error
    } finally {
      writing = undefined
    }
  }
  const textOf = (batch: Batch): string => {
    const lines = unwritten(batch, written.get(batch.origin))
    if (pretty) return readableText(lines)
    return lines.map((line) => `${whole(line, maxLineBytes)}\n`).join('')
  }
  return {
    name,
    feed: { intervalMs: 50 },
    ...filtered(config.filter),
    async open() {
      output.open()
    },
    write: (batch, signal) => inTurn(batch.origin, batch.last, () => textOf(batch), signal),
    ...(pretty || !config.checkpoints
      ? {}
      : {
          checkpoint: (checkpoint, signal) => {
            const { origin, size, handed = [] } = checkpoint
            const place = `checkpoint ${origin}`
            const text = (): string => {
              const before = written.get(place) ?? -1
              const reached = Math.max(size, (written.get(origin) ?? -1) + 1)
              return newerThan(before, [...handed, checkpoint])
                .map((one) => checkpointLine(one, reached))
                .join('')
            }
            return inTurn(place, size, text, signal)
          },
          missing: (lines, signal) =>
            inTurn(lines.origin, lines.last, () => hashLines(lines, maxLineBytes, written.get(lines.origin)), signal),
        }),
    async close() {
      output.close()
    },
  }
}

/** Resolves once a write has settled, however; rejects if the signal comes first, and keeps nothing of who has waited. */
function settled(writing: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = (): void => reject(signal.reason)
    if (signal.aborted) give()
    signal.addEventListener('abort', give, { once: true })
    const done = (): void => {
      signal.removeEventListener('abort', give)
      resolve()
    }
    writing.then(done, done)
  })
}

/** The lines behind the last that was written. */
function unwritten({ first, lines }: Batch, last: number | undefined): readonly string[] {
  if (last === undefined || first > last) return lines
  return lines.filter((line) => Number(member(parseLine(line) ?? {}, 'audit', 'index')) > last)
}

function whole(line: string, most: number | false): string {
  if (most === false || Buffer.byteLength(line) <= most) return line
  const audit = member(parseLine(line) ?? {}, 'audit') as LoggedEvent | undefined
  return chunked(line, `${audit?.origin}/${audit?.index}`, most).join('\n')
}

function readableText(lines: readonly string[]): string {
  // https://no-color.org: any value switches colours off.
  const coloured = stdout.isTTY === true && env('NO_COLOR') === undefined
  return lines.map((line) => readableLine(JSON.parse(line), coloured)).join('')
}

function readableLine(event: LoggedEvent, coloured: boolean): string {
  const text = summary(event)
  const level = Number(event.severity)
  const colour = level >= severity.error ? 31 : level >= severity.warn ? 33 : undefined
  return coloured && colour !== undefined ? `\u001b[${colour}m${text}\u001b[0m\n` : `${text}\n`
}
