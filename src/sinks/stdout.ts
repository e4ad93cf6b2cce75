// stdoutSink: lines to standard output, as JSON, or readable and coloured on a terminal.
import { z } from 'zod'
import { severity } from '../events.ts'
import type { LoggedEvent } from '../log/envelope.ts'
import { summary } from '../log/summary.ts'
import { parseOptions } from '../parse.ts'
import { env, stdout } from '../runtime.ts'
import type { Batch, Sink } from '../sink.ts'

const schema = z.strictObject({
  /** The sink's name in faults and gaps. Default `stdout`. */
  name: z.string().min(1).default('stdout'),
  /**
   * `json` writes the lines as they are, `readable` a short text for each, `auto` readable text on a
   * terminal. There, warnings are yellow and errors red, unless `NO_COLOR` is set. Default `auto`.
   */
  format: z.enum(['auto', 'json', 'readable']).default('auto'),
})
export type StdoutSinkOptions = z.input<typeof schema>

/**
 * Writes each line to standard output within 50 ms, and none twice for a reader that is slow. A reader that went away (EPIPE) fails the write, as any fault does: the
 * lines wait in this sink's bounded queue.
 */
export function stdoutSink(options: StdoutSinkOptions = {}): Sink {
  const { name, format } = parseOptions(schema, options, 'stdoutSink')
  const pretty = format === 'readable' || (format === 'auto' && stdout.isTTY === true)
  // A reader that stalls does not lose what was written, and must not get it again: the write that has not called back is
  // waited for. Each batch is remembered as long as it is tried.
  const written = new WeakMap<Batch, Promise<void>>()
  const once = (batch: Batch): Promise<void> => {
    const earlier = written.get(batch)
    if (earlier !== undefined) return earlier
    const writing = write(pretty ? readableText(batch) : `${batch.lines.join('\n')}\n`)
    written.set(batch, writing)
    writing.catch(() => written.delete(batch))
    return writing
  }
  return {
    name,
    feed: { intervalMs: 50 },
    async open() {
      // Each write hears of its own fault; without this one, a pipe that closes would end the process.
      stdout.on('error', ignore)
    },
    write: async (batch) => once(batch),
    async close() {
      stdout.off('error', ignore)
    },
  }
}

const ignore = (): void => undefined

function readableText(batch: Batch): string {
  // https://no-color.org: any value switches colours off.
  const coloured = stdout.isTTY === true && env('NO_COLOR') === undefined
  return batch.lines.map((line) => readableLine(JSON.parse(line), coloured)).join('')
}

function readableLine(event: LoggedEvent, coloured: boolean): string {
  const text = summary(event)
  const level = Number(event.severity)
  const colour = level >= severity.error ? 31 : level >= severity.warn ? 33 : undefined
  return coloured && colour !== undefined ? `\u001b[${colour}m${text}\u001b[0m\n` : `${text}\n`
}

function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout.write(text, (error) => (error ? reject(error) : resolve()))
  })
}
