// OTLP/HTTP in JSON: an ExportLogsServiceRequest of the OpenTelemetry protocol 1.x.
import { z } from 'zod'
import { member, parseLine } from '../../log/envelope.ts'
import { printable } from '../../log/summary.ts'
import type { LineEvent } from '../../sink.ts'
import { Refusal } from '../shared/refusal.ts'
import { intAt } from './facts.ts'
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { checkOptions } from './options.ts'
import { type KeyValue, recordOf, resourceLogs, resourceOf } from './otel.ts'

export interface OtlpOptions {
  /** The words are always those of OpenTelemetry. */
  readonly map?: 'otel' | undefined
}

/**
 * Posted to the URL as it is given, which for most collectors ends with `/v1/logs`. Throws `config-invalid` for options that are not
 * valid.
 */
export function otlp(options: OtlpOptions = {}): Format {
  checkOptions({ map: z.literal('otel').optional() }, options, 'otlp')
  return byLine({
    each(line) {
      const event = JSON.parse(line) as LineEvent
      const attributes = resourceOf(event)
      // As text, which is what takes time.
      return { event, attributes, key: JSON.stringify(attributes), record: JSON.stringify(recordOf(event, line)) }
    },
    whole(parts) {
      const groups = new Map<string, { attributes: KeyValue[]; records: string[] }>()
      for (const { attributes, key, record } of parts) {
        const group = groups.get(key) ?? { attributes, records: [] }
        groups.set(key, group)
        group.records.push(record)
      }
      const texts = [...groups.values()].map(({ attributes, records }) =>
        JSON.stringify(resourceLogs(attributes, [])).replace(noRecords, () => `"logRecords":[${records.join(',')}]`),
      )
      return {
        contentType: 'application/json',
        body: `{"resourceLogs":[${texts.join(',')}]}`,
        accepted: ({ body }) =>
          partial(
            body,
            parts.map(({ event }) => event),
          ),
      }
    },
  })
}

/** In the text of JSON it stands nowhere else: within a text its quotes are escaped. */
const noRecords = '"logRecords":[]'

/** Longest message of a collector that is told on. */
const mostMessage = 256

// A client must not send again what was accepted in part, and is not told which records were not (OTLP 1.x, "Partial
// success"): what is lost is known as a count. The collector's words can
// hold whatever it was sent: they stand in no line, and in no dead letter.
function partial(body: string, events: readonly LineEvent[]): string | undefined {
  const success = member(parseLine(body) ?? {}, 'partialSuccess')
  if (typeof success !== 'object' || success === null) return undefined
  const { rejectedLogRecords = 0, errorMessage = '' } = success as Record<string, unknown>
  // An int64, which is text in the JSON of protobuf.
  const refused = Number(rejectedLogRecords)
  if (refused > 0 && refused >= events.length)
    throw new Refusal(`the collector refused all ${events.length} log records`, {
      rejected: events.flatMap((event) => intAt(event, 'audit.index') ?? []),
    })
  if (refused > 0)
    throw new Refusal(`the collector refused ${refused} of ${events.length} log records, and does not say which`, {
      rejectedCount: refused,
    })
  if (errorMessage === '') return undefined
  return `the collector warns: ${printable(String(errorMessage).slice(0, mostMessage).toWellFormed())}`
}
