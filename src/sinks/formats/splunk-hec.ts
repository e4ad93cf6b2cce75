// The HTTP Event Collector of Splunk: its event endpoint.
import { z } from 'zod'
import type { LineEvent } from '../../sink.ts'
import { textAt, timeOf } from './facts.ts'
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { type MapOptions, mapper, mapSchema } from './mapping.ts'
import { checkOptions } from './options.ts'

export interface SplunkOptions extends MapOptions {
  /** The source type, by which Splunk chooses how to read an event. Default `auditlb`. */
  readonly sourcetype?: string
  /** The index. Default that of the token. */
  readonly index?: string
}

/**
 * Posted to the URL as it is given: `https://…:8088/services/collector/event`, with `authorization: Splunk <token>` from
 * `headers`. Acceptance is the answer 200, not an acknowledgement of the indexer: those are not asked for.
 * Throws `config-invalid` for options that are not valid.
 */
export function splunkHec(options: SplunkOptions = {}): Format {
  checkOptions(
    { map: mapSchema, sourcetype: z.string().optional(), index: z.string().optional() },
    options,
    'splunkHec',
  )
  const { map = 'line', sourcetype = 'auditlb', index } = options
  const text = mapper(map)
  return byLine({
    each(line, { origin }) {
      const event = JSON.parse(line) as LineEvent
      const head = {
        time: (timeOf(event) / 1000).toFixed(3),
        host: textAt(event, 'service.instance.id'),
        source: origin,
        sourcetype,
        index,
      }
      return `${JSON.stringify(head).slice(0, -1)},"event":${text(line)}}`
    },
    whole: (events) => ({ contentType: 'application/json', body: events.join('\n') }),
  })
}
