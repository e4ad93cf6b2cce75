// Lines as they are, or mapped: newline-delimited JSON, and a JSON array.
import type { Format } from './format.ts'
import { type MapOptions, mapper } from './mapping.ts'

/** A line of JSON for each event. With `map: 'line'`, the default, those of the log, byte for byte. */
export function ndjson({ map = 'line' }: MapOptions = {}): Format {
  const text = mapper(map)
  return ({ lines }) => ({ contentType: 'application/x-ndjson', body: `${lines.map(text).join('\n')}\n` })
}

/** One array of all events. */
export function json({ map = 'line' }: MapOptions = {}): Format {
  const text = mapper(map)
  return ({ lines }) => ({ contentType: 'application/json', body: `[${lines.map(text).join(',')}]` })
}
