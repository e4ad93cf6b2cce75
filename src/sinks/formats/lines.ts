// Lines as they are, or mapped: newline-delimited JSON, and a JSON array.
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { type MapOptions, mapper } from './mapping.ts'

/** A line of JSON for each event. With `map: 'line'`, the default, those of the log, byte for byte. */
export function ndjson({ map = 'line' }: MapOptions = {}): Format {
  const text = mapper(map)
  return byLine({
    each: text,
    whole: (texts) => ({ contentType: 'application/x-ndjson', body: `${texts.join('\n')}\n` }),
  })
}

/** One array of all events. */
export function json({ map = 'line' }: MapOptions = {}): Format {
  const text = mapper(map)
  return byLine({ each: text, whole: (texts) => ({ contentType: 'application/json', body: `[${texts.join(',')}]` }) })
}
