// The push API of Grafana Loki, in JSON.
import { z } from 'zod'
import type { LineEvent } from '../../sink.ts'
import { logOf, textAt, timeOf } from './facts.ts'
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { type MapOptions, mapper, mapSchema } from './mapping.ts'
import { checkOptions } from './options.ts'

const labelsSchema = z.record(
  z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'expected a name of the characters A-Z a-z 0-9 _'),
  z.string(),
)

export interface LokiOptions extends MapOptions {
  /** Labels of every stream, besides `service_name` and `log`: such as where it runs. Default none. */
  readonly labels?: Readonly<Record<string, string>>
}

/**
 * Posted to the URL as it is given: `https://…/loki/api/v1/push`. A stream for each service and log, and no label that grows with
 * traffic. A line that comes twice has the same time and text, and is kept once. Throws `config-invalid` for options that are not valid.
 */
export function loki(options: LokiOptions = {}): Format {
  checkOptions({ map: mapSchema, labels: labelsSchema.optional() }, options, 'loki')
  const { map = 'line', labels } = options
  // What the host changes later must not change the streams.
  const fixed = { ...labels }
  const text = mapper(map)
  return byLine({
    each(line) {
      const event = JSON.parse(line) as LineEvent
      const value: [string, string] = [`${timeOf(event)}000000`, text(line)]
      return { service: textAt(event, 'service.name') ?? '', value }
    },
    whole(parts, { origin }) {
      const streams = new Map<string, { stream: object; values: [string, string][] }>()
      for (const { service, value } of parts) {
        const stream = streams.get(service) ?? {
          stream: { ...fixed, service_name: service, log: logOf(origin) },
          values: [],
        }
        streams.set(service, stream)
        stream.values.push(value)
      }
      return { contentType: 'application/json', body: JSON.stringify({ streams: [...streams.values()] }) }
    },
  })
}
