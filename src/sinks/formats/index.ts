// The formats by name. Adding one is a file and a line here.
import { datadog } from './datadog.ts'
import { elasticsearch } from './elasticsearch.ts'
import type { Format } from './format.ts'
import { json, ndjson } from './lines.ts'
import { loki } from './loki.ts'
import type { MapOptions } from './mapping.ts'
import { otlp } from './otlp.ts'
import { splunkHec } from './splunk-hec.ts'

export type { DatadogOptions } from './datadog.ts'
export { toEcs } from './ecs.ts'
export type { Answer, Format, Payload } from './format.ts'
export type { LokiOptions } from './loki.ts'
export type { LineMap, MapOptions, Mapping } from './mapping.ts'
export { toOcsf } from './ocsf.ts'
export { toOtel } from './otel.ts'
export type { OtlpOptions } from './otlp.ts'
export type { SplunkOptions } from './splunk-hec.ts'

/** Each makes a format, for `httpSink` or for a sink of your own. */
export const formats = { ndjson, json, otlp, elasticsearch, loki, splunkHec, datadog }

export const formatNames = ['ndjson', 'json', 'otlp', 'elasticsearch', 'loki', 'splunk-hec', 'datadog'] as const
export type FormatName = (typeof formatNames)[number]

interface Named {
  readonly make: (options: MapOptions) => Format
  /** Most lines and bytes of a batch that fit into what the collector takes at once. */
  readonly mostLines?: number
  readonly mostBytes?: number
  /** Bytes of a batch where nothing else is said. */
  readonly bytes?: number
}

export const named: Readonly<Record<FormatName, Named>> = {
  ndjson: { make: ndjson },
  json: { make: json },
  otlp: { make: () => otlp() },
  // An answer has an item of some hundred bytes for each line, and so much of one is read.
  elasticsearch: { make: elasticsearch, mostLines: 5000 },
  loki: { make: loki },
  // Splunk Cloud takes 1 MB; what is around each event comes on top.
  'splunk-hec': { make: splunkHec, bytes: 512 * 1024 },
  // 5 MB; a line within a text grows by its quotes, to less than twice its size.
  datadog: { make: datadog, mostLines: 1000, mostBytes: 2 << 20 },
}
