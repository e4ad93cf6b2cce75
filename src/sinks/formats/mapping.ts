// Mappings: the vocabulary in which a format carries a line.

import { z } from 'zod'
import type { LineEvent } from '../../sink.ts'
import { toEcs } from './ecs.ts'
import { toOcsf } from './ocsf.ts'
import { toOtel } from './otel.ts'

/** Makes of an event whatever JSON a collector wants. `line` is the event as it stands in the log. */
export type LineMap = (event: LineEvent, line: string) => unknown

/** By name: the line as it is, or the words of a standard. */
export const mappings = {
  line: undefined,
  ecs: toEcs,
  ocsf: toOcsf,
  otel: toOtel,
} satisfies Record<string, LineMap | undefined>
export type Mapping = keyof typeof mappings | LineMap

export interface MapOptions {
  /** In whose words the events are told: `line` as they are in the log, `ecs`, `ocsf`, `otel`, or by a function. */
  readonly map?: Mapping | undefined
}

const names = Object.keys(mappings) as (keyof typeof mappings)[]

export const mapSchema = z
  .union([z.enum(names), z.custom<LineMap>((value) => typeof value === 'function')], {
    error: `expected ${names.join(' or ')}, or a function`,
  })
  .optional()

/** A function from a line to the JSON text of what it is mapped to. */
export function mapper(mapping: Mapping): (line: string) => string {
  const map = typeof mapping === 'function' ? mapping : mappings[mapping]
  return map === undefined ? (line) => line : (line) => JSON.stringify(map(JSON.parse(line) as LineEvent, line))
}
