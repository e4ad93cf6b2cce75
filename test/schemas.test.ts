// The JSON Schemas of the package: one for each event, each valid, and all of them in one.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventTable } from '../src/events.ts'
import { schemaFaults, shippedSchema } from './support/schemas.ts'

const names = [...Object.keys(eventTable), 'app']
const line = {
  app: { n: 1 },
  audit: { boot_id: 'b', index: 0, mono_us: 1, origin: 'o' },
  event_name: 'app.order.paid',
  outcome: 'success',
  schema_version: 1,
  service: { instance: { id: 'i' }, name: 's' },
  severity: 9,
  time: '2026-01-01T00:00:00.000Z',
}

it('are reached by their names', () => {
  const require = createRequire(join(import.meta.dirname, '../package.json'))
  expect(require('auditlb/schema/index.json').events.map(({ schema }: { schema: string }) => schema)).toEqual(
    names.map((name) => `${name}.json`),
  )
  expect(require('auditlb/schema/app.json')).toEqual(shippedSchema('app'))
})

it.each(names)('%s says what it is, and takes no other event', (name) => {
  expect(schemaFaults(name, { ...line, event_name: 'none' })).toBeDefined()
  expect(shippedSchema(name)).toMatchObject({
    $id: `urn:auditlb:schema:1:${name}`,
    title: name === 'app' ? 'app.*' : name,
    description: expect.stringMatching(/\.$/),
  })
})

it('event takes each, by its own schema', () => {
  expect([schemaFaults('event', line), schemaFaults('app', line)]).toEqual([undefined, undefined])
  expect(schemaFaults('event', { ...line, event_name: 'balancer.ready' })).toBeDefined()
  expect(schemaFaults('event', { ...line, severity: 0.5 })).toBeDefined()
})
