// The intake of Datadog for logs, v2.
import { z } from 'zod'
import type { LineEvent } from '../../sink.ts'
import { logOf, severityOf, severityText, textAt } from './facts.ts'
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { type MapOptions, mapper, mapSchema } from './mapping.ts'
import { checkOptions } from './options.ts'

export interface DatadogOptions extends MapOptions {
  /** Tags of every entry, besides `log`, `pool` and `event`: `env:prod,team:web`. Default none. */
  readonly tags?: string
}

/**
 * Posted to the URL as it is given: `https://http-intake.logs.<site>/api/v2/logs`, with `dd-api-key` from `headers`. An entry's
 * message is the line. It takes at most 1,000 entries and 5 MB at once. Throws `config-invalid` for options that are not
 * valid.
 */
export function datadog(options: DatadogOptions = {}): Format {
  checkOptions({ map: mapSchema, tags: z.string().optional() }, options, 'datadog')
  const { map = 'line', tags } = options
  const text = mapper(map)
  return byLine({
    each(line, { origin }) {
      const event = JSON.parse(line) as LineEvent
      const pool = textAt(event, 'lb.pool')
      return JSON.stringify({
        ddsource: 'auditlb',
        ddtags: [
          `log:${logOf(origin)}`,
          `event:${textAt(event, 'event_name')}`,
          ...(pool === undefined ? [] : [`pool:${pool}`]),
          ...(tags === undefined ? [] : [tags]),
        ].join(','),
        hostname: textAt(event, 'service.instance.id'),
        service: textAt(event, 'service.name'),
        status: severityText(severityOf(event)).toLowerCase(),
        timestamp: textAt(event, 'time'),
        message: text(line),
      })
    },
    whole: (entries) => ({ contentType: 'application/json', body: `[${entries.join(',')}]` }),
  })
}
