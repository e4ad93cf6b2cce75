// Writes the JSON Schema of each event into the build: made from the zod schemas of src/events.ts, which are the source.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { appEvent, type BuiltInEventName, eventSchema, eventTable } from '../src/events.ts'

const dialect = 'https://json-schema.org/draft/2020-12/schema'
/** The version is that of the lines, `schema_version`. */
const idOf = (name: string): string => `urn:auditlb:schema:1:${name}`

function schemaOf(name: string): Record<string, unknown> {
  const { about } = eventTable[name as BuiltInEventName] ?? appEvent
  const zod = eventSchema(name === 'app' ? 'app.*' : (name as BuiltInEventName))
  const { $schema: _, ...schema } = z.toJSONSchema(zod, { target: 'draft-2020-12', unrepresentable: 'throw' })
  return { title: name === 'app' ? 'app.*' : name, description: about, ...schema }
}

/** One file for each event, `app.json` for those of the host, `event.json` for any, and `index.json`, which names them. */
export function writeSchemas(dist: string): void {
  const dir = join(dist, 'schema')
  mkdirSync(dir, { recursive: true })
  const write = (name: string, value: object): void =>
    writeFileSync(join(dir, `${name}.json`), `${JSON.stringify(value, null, 2)}\n`)
  const names = [...Object.keys(eventTable), 'app']
  for (const name of names) write(name, { $schema: dialect, $id: idOf(name), ...schemaOf(name) })
  write('event', {
    $schema: dialect,
    $id: idOf('event'),
    title: 'event',
    description: 'Any event, as its line is.',
    oneOf: names.map((name) => ({ $ref: `#/$defs/${name}` })),
    $defs: Object.fromEntries(names.map((name) => [name, schemaOf(name)])),
  })
  const events = names.map((name) => {
    const { log, severity, about } = eventTable[name as BuiltInEventName] ?? appEvent
    return { event_name: name === 'app' ? 'app.*' : name, log, severity, description: about, schema: `${name}.json` }
  })
  write('index', { schema_version: 1, events })
}
