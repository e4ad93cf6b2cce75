// Every event in the words of OCSF, held against the published schema of version 1.8.0.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { toOcsf } from '../../src/index.ts'
import { type Sample, sample, samples } from '../support/sample-events.ts'

const { classes, definitions } = JSON.parse(readFileSync(join(import.meta.dirname, 'ocsf', 'schema.json'), 'utf8'))
const ajv = new Ajv({ allErrors: true, strict: false })
const validators = new Map<number, ValidateFunction>(
  Object.entries(classes).map(([uid, schema]) => [Number(uid), ajv.compile({ ...(schema as object), definitions })]),
)

function ocsf(event: Sample): Sample {
  const told = JSON.parse(JSON.stringify(toOcsf(event))) as Sample
  const validate = validators.get(told.class_uid)!
  validate(told)
  expect(validate.errors ?? []).toEqual([])
  expect(told.type_uid).toBe(told.class_uid * 100 + told.activity_id)
  return told
}

it('is told of a schema that refuses what is not right', () => {
  const told = toOcsf(sample('request.completed')) as Sample
  const faults = (change: (event: Sample) => void): unknown => {
    const wrong = structuredClone(told)
    change(wrong)
    return validators.get(4002)!(wrong)
  }
  expect(faults(() => undefined)).toBe(true)
  expect(faults((event) => delete event.metadata.product)).toBe(false)
  expect(faults((event) => (event.severity_id = 7))).toBe(false)
  expect(faults((event) => (event.time = '2026'))).toBe(false)
  expect(faults((event) => (event.metadata.profiles = []))).toBe(false)
  expect(faults((event) => (event.http_request.spice = 1))).toBe(false)
})

it.each([...samples.keys()])('%s is valid', (name) => {
  const event = sample(name)
  const told = ocsf(event)
  expect(told).toMatchObject({
    time: Date.parse(event.time),
    metadata: { event_code: name, sequence: event.audit.index, uid: `${event.audit.origin}/${event.audit.index}` },
    status_id: { success: 1, failure: 2, unknown: 0 }[event.outcome as string],
  })
})

it.each([
  ['request.completed', 400203],
  ['request.received', 400206],
  ['tunnel.opened', 400101],
  ['access.denied', 400105],
  ['config.changed', 300403],
  ['config.rejected', 300403],
  ['topology.changed', 300401],
  ['balancer.started', 600203],
  ['balancer.stopped', 600204],
  ['backend.health_changed', 600207],
  ['audit.opened', 100806],
  ['audit.closed', 100807],
  ['audit.rotated', 100805],
  ['audit.pruned', 100802],
  ['audit.gap', 100899],
  ['app.shelved', 99],
])('%s has the type %i', (name, type) => {
  expect(ocsf(sample(name)).type_uid).toBe(type)
})

it('a request tells the load balancer: who was tried, and what they answered', () => {
  const told = ocsf(sample('request.completed'))
  expect(told).toMatchObject({
    src_endpoint: { ip: '10.0.0.7', port: 57330 },
    dst_endpoint: { name: 'demo', instance_uid: 'host-1.0', type_id: 15 },
    http_request: { http_method: 'GET', url: { path: '/orders/17', hostname: '10.0.0.7' }, user_agent: 'demo-client' },
    http_response: { code: 200, body_length: 49, latency: 48 },
    http_status: 200,
    duration: 49,
    load_balancer: {
      name: 'demo',
      code: 200,
      dst_endpoint: { ip: '10.0.0.7', port: 35551, uid: 'b3' },
      endpoint_connections: [
        { network_endpoint: { ip: '10.0.0.7', port: 38817, uid: 'b2' } },
        { code: 200, network_endpoint: { ip: '10.0.0.7', port: 35551, uid: 'b3' } },
      ],
      status_detail: 'less-loaded-of-two',
    },
  })
  expect(told.http_request.http_headers).toContainEqual({ name: 'authorization', value: 'REDACTED' })
})

it('a change tells who, what was before and what is after', () => {
  expect(ocsf(sample('config.changed'))).toMatchObject({
    actor: { user: { uid: 'deploy-bot', type_id: 4 } },
    comment: 'b1 has more cores now',
    entity: { data: { backends: { b1: { weight: 1 } } } },
    entity_result: { data: { backends: { b1: { weight: 3 } } }, version: '3' },
  })
  expect(ocsf(sample('config.rejected'))).toMatchObject({ status_code: 'change-refused' })
})

it('a legal hold tells who has changed it', () => {
  const told = (log: object): Sample => {
    const event = sample('audit.hold_changed')
    return ocsf({ ...event, log: { ...event.log, lifted_by: undefined, ...log } })
  }
  const user = (name: string) => ({ actor: { user: { name, uid: name } } })
  const lifted = told({ change: 'lifted', lifted_by: 'counsel' })
  expect(lifted).toMatchObject({ ...user('counsel'), unmapped: { log: { by: 'legal', hold: 'case-12' } } })
  expect(told({ change: 'placed' })).toMatchObject(user('legal'))
  expect(told({ change: 'lifted' }).actor).toBeUndefined()
  expect(told({ change: 'in-force' }).actor).toBeUndefined()
})

it('a denial tells the rule and that it was blocked, in the class of its phase', () => {
  const event = sample('access.denied')
  expect(ocsf(event)).toMatchObject({
    action_id: 2,
    disposition_id: 2,
    policy: { name: 'access.deny', is_applied: true },
  })
  const denied = (access: object, rest: object = {}): number =>
    ocsf({ ...event, access: { ...event.access, ...access }, ...rest }).class_uid
  expect(denied({ phase: 'request' }, { lb: { request_id: 'r1' } })).toBe(4002)
  expect(denied({ phase: 'request' })).toBe(4001)
  expect(denied({ phase: 'admin' }, { actor: { id: 'a', type: 'user' }, client: undefined })).toBe(3004)
})

it('tells whom the host knows the client to be', () => {
  const event = sample('request.completed')
  event.app = { principal: { id: 'u1', type: 'user', plan: 'gold' }, tenant: 't1' }
  const told = ocsf(event)
  expect(told).toMatchObject({
    actor: { user: { uid: 'u1', type_id: 1 } },
    metadata: { profiles: ['load_balancer', 'host'] },
  })
  expect(told.unmapped.app).toEqual({ principal: { plan: 'gold' }, tenant: 't1' })
})

it('keeps what has no attribute, and the line', () => {
  const event = { ...sample('request.completed'), app: { principal: 'u1' } } as Sample
  const line = '{"as":"it stands"}'
  const told = toOcsf(event, line) as Sample
  expect(told.raw_data).toBe(line)
  expect(told.unmapped).toMatchObject({
    app: { principal: 'u1' },
    audit: { boot_id: event.audit.boot_id, mono_us: event.audit.mono_us },
    lb: { attempts: event.lb.attempts, config_hash: event.lb.config_hash, config_revision: 1 },
    schema_version: 1,
  })
  expect(told.unmapped.client).toEqual({ source: 'peer' })
  expect(Object.keys(told.unmapped)).not.toContain('event_name')
  expect(Object.keys(told.unmapped)).not.toContain('url')
})

it('is valid whatever stands in the place of addresses, methods and values', () => {
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', 'PROPFIND', 'constructor', 'valueOf', '__proto__', '10.0.0.0/24', '/run/app.sock', 'b.example'),
  )
  const odd = fc.oneof(word, fc.integer(), fc.constant(null), fc.constant(undefined), fc.constant([]), fc.constant({}))
  fc.assert(
    fc.property(fc.constantFrom(...samples.keys()), word, word, odd, odd, (name, address, method, value, other) => {
      const event = sample(name)
      if (event.client !== undefined) event.client.address = address
      if (event.http !== undefined)
        event.http.request = { method, header: { 'user-agent': [method], [address]: { length: 3 } } }
      if (event.lb?.attempts !== undefined) event.lb.attempts[0] = { backend: value, address, status_code: other }
      if (event.backend !== undefined) event.backend.to = value
      if (event.access !== undefined) event.access.detail = value
      event.trace_id = other
      event.outcome = value
      ocsf(event)
    }),
    { numRuns: 500 },
  )
})
