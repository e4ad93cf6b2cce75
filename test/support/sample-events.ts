// Events of every kind: the examples of the documentation, which is held to their schemas, as lines of a log.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonical, type Json } from '../../src/canonical.ts'
import { eventTable } from '../../src/events.ts'
import type { Batch } from '../../src/sink.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into events of every kind.
export type Sample = Record<string, any>

const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'events.md'), 'utf8')

function example(heading: string): Sample {
  const from = text.indexOf(`\n## ${heading}\n`)
  const part = text.slice(from + 1, text.indexOf('\n## ', from + 1))
  return JSON.parse(/```json\n([\s\S]*?)```/.exec(part)?.[1] ?? '{}')
}

const whole = example('A whole line')

/** An event of each name, complete with its envelope. */
export const samples: ReadonlyMap<string, Sample> = new Map(
  [...Object.keys(eventTable), 'app.shelved'].map((name) => {
    if (name === whole.event_name) return [name, whole]
    const { time, outcome, service, schema_version } = whole
    const table = eventTable[name as keyof typeof eventTable] ?? { log: 'traffic', severity: 9 }
    const audit = { ...whole.audit, origin: whole.audit.origin.replace('/traffic/', `/${table.log}/`) }
    const common = { audit, event_name: name, time, outcome, service, schema_version, severity: table.severity }
    return [name, { ...common, ...example(`\`${name.startsWith('app.') ? 'app.*' : name}\``) }]
  }),
)

export const sample = (name: string): Sample => structuredClone(samples.get(name)!)

/** These events as lines of one log, from an index on. */
export function batchOf(
  events: readonly Sample[],
  first = 0,
  origin = 'demo/host-1.0/traffic/b9f90ca076705d97',
): Batch {
  const lines = events.map((event, i) =>
    canonical({ ...event, audit: { ...event.audit, origin, index: first + i } } as Json),
  )
  const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)
  return { origin, first, last: first + lines.length - 1, lines, bytes }
}
