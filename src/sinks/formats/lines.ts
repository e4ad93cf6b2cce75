// Lines as they are, or mapped: newline-delimited JSON, and a JSON array.
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { type MapOptions, mapper, mapSchema } from './mapping.ts'
import { checkOptions } from './options.ts'

/** A line of JSON for each event. With `map: 'line'`, the default, those of the log, byte for byte. Throws `config-invalid` for options that are not valid. */
export function ndjson(options: MapOptions = {}): Format {
  checkOptions({ map: mapSchema }, options, 'ndjson')
  const { map = 'line' } = options
  const text = mapper(map)
  return byLine({
    each: text,
    whole: (texts) => ({ contentType: 'application/x-ndjson', body: `${texts.join('\n')}\n` }),
  })
}

/** One array of all events. Throws `config-invalid` for options that are not valid. */
export function json(options: MapOptions = {}): Format {
  checkOptions({ map: mapSchema }, options, 'json')
  const { map = 'line' } = options
  const text = mapper(map)
  return byLine({ each: text, whole: (texts) => ({ contentType: 'application/json', body: `[${texts.join(',')}]` }) })
}
