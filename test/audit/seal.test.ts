// The sealer: every line fits, and is what the schema of its event allows, however long the event is.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Sealer } from '../../src/audit/seal.ts'
import { type AuditEvent, eventSchema, eventTable } from '../../src/events.ts'
import { maxLineBytes } from '../../src/sink.ts'
import { arbitraryOf } from '../support/arbitrary-event.ts'
import { schemaFaults, schemaNameOf, shippedSchema } from '../support/schemas.ts'

const head = { origin: 's/i/traffic/0123456789abcdef', next: 7 }
const sealer = new Sealer({ traffic: head, security: head, control: head })

/** What the trail adds, whose length is bounded. */
const envelope = (name: string) => ({
  audit: { boot_id: 'b'.repeat(32), mono_us: 1 },
  event_name: name,
  outcome: 'success',
  schema_version: 1,
  service: { instance: { id: 'i'.repeat(128) }, name: 's'.repeat(64) },
  severity: 9,
  time: '2026-01-01T00:00:00.000Z',
  cloud: { region: 'r'.repeat(64) },
  trace_id: 'a'.repeat(32),
  span_id: 'b'.repeat(16),
})

const sealed = (event: object) => {
  const line = sealer.line({ ...head }, structuredClone(event) as AuditEvent)
  expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes)
  const parsed = JSON.parse(line)
  expect(schemaFaults(schemaNameOf(parsed.event_name), parsed)).toBeUndefined()
  expect(() => eventSchema(parsed.event_name).parse(parsed)).not.toThrow()
  return parsed
}

const names = [...Object.keys(eventTable), `app.${'a'.repeat(120)}`]

describe.each(names)('a line of %s', (name) => {
  const of = (texts: readonly string[], items: number) =>
    arbitraryOf(shippedSchema(schemaNameOf(name)), { texts, items }).map((event) => ({ ...event, ...envelope(name) }))

  it('fits, and is valid, with long lists of long texts', () => {
    for (const event of fc.sample(of(['x'.repeat(1500), '\u20ac"'.repeat(500), 'short'], 16), {
      numRuns: 2,
      seed: 1,
    })) {
      const { audit, event_name, service } = sealed(event)
      expect([audit.index, event_name, service]).toEqual([7, name, envelope(name).service])
    }
  })

  it('fits, and is valid, with texts that alone are too long', () => {
    for (const event of fc.sample(of(['\u0001'.repeat(70_000), 'x'.repeat(100_000)], 1), { numRuns: 4, seed: 1 }))
      sealed(event)
  })
})

it('a request that was tried over and over keeps its attempts without the picks that led to them', () => {
  const trace = (seed: number) => ({
    draws: [seed],
    compared: Array.from({ length: 20 }, (_, i) => ({ backend: `backend-${i}`, score: i })),
    pool: Array.from({ length: 400 }, (_, i) => ({ backend: `backend-in-eu-west-1a-number-${i}`, load: 0, weight: 1 })),
  })
  const decision = {
    strategy: 'random',
    reason: 'drawn-by-weight',
    backend: 'b',
    candidates: 400,
    excluded: [],
    snapshot: 1,
  }
  const attempts = Array.from({ length: 4 }, (_, i) => ({
    backend: 'b',
    decision: { ...decision, trace: trace(i) },
    address: '10.0.0.1',
    reason: 'drawn-by-weight',
    result: 'connect-refused',
    queue_us: 0,
    connect_us: 0,
    duration_us: 1,
  }))
  const event = {
    ...envelope('request.completed'),
    client: { address: '192.0.2.1', source: 'peer' },
    http: { request: { body: { size: 0 }, header: { host: ['a'] }, method: 'GET' }, response: { body: { size: 0 } } },
    lb: {
      request_id: 'r',
      result: 'connect-refused',
      ended_by: 'balancer',
      decision: { ...decision, trace: trace(4) },
      attempts,
      level: 'full',
      timing: { queue_us: 0, connect_us: 0, total_us: 1 },
    },
    network: { peer: { address: '192.0.2.1' }, protocol: { name: 'http', version: '1.1' } },
    url: { path: '/x' },
  }
  const { audit, http, lb } = sealed(event)
  expect(audit.truncated).toBe(true)
  expect(http).toEqual(event.http)
  expect(lb.decision).toEqual(decision)
  expect(lb.attempts).toEqual(attempts.map((one) => ({ ...one, decision })))
})

it('is refused, and so counted, where not even the envelope fits', () => {
  const event = { ...envelope('balancer.ready'), service: { name: 's'.repeat(70_000), instance: { id: 'i' } } }
  expect(() => sealer.line({ ...head }, event as unknown as AuditEvent)).toThrow(RangeError)
})
