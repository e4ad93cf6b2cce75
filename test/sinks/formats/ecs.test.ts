// Events as documents of the Elastic Common Schema.
import { expect, it } from 'vitest'
import { toEcs } from '../../../src/index.ts'
import { type Sample, sample, samples } from '../../support/sample-events.ts'

const ecs = (event: Sample): Sample => JSON.parse(JSON.stringify(toEcs(event)))

it('tells a request by the fields of ECS, and ours under their own names', () => {
  const event = sample('request.completed')
  event.url.query = { page: ['2'], token: { length: 12 } }
  event.trace_id = 'a'.repeat(32)
  event.app = { principal: { id: 'u1' } }
  const told = ecs(event)
  expect(told).toMatchObject({
    '@timestamp': event.time,
    client: { address: '10.0.0.7', ip: '10.0.0.7', port: 57330 },
    ecs: { version: '9.0.0' },
    event: {
      action: 'request.completed',
      category: ['web'],
      dataset: 'auditlb.traffic',
      duration: 49153000,
      id: `${event.audit.origin}/614`,
      kind: 'event',
      module: 'auditlb',
      outcome: 'success',
      sequence: 614,
      type: ['access'],
    },
    http: {
      request: { id: event.lb.request_id, method: 'GET', body: { bytes: 0 } },
      response: { status_code: 200, body: { bytes: 49 } },
      version: '1.1',
    },
    lb: { pool: 'demo', result: 'ok', decision: { reason: 'less-loaded-of-two' } },
    log: { level: 'info' },
    service: { name: 'demo', node: { name: 'host-1.0' } },
    source: { ip: '10.0.0.7' },
    trace: { id: event.trace_id },
    url: { path: '/orders/17', query: 'page=2&token=REDACTED' },
    user: { id: 'u1' },
    user_agent: { original: 'demo-client' },
  })
  expect(told.message).toContain('GET /orders/17 200')
})

it('holds the line, so that it can still be proved', () => {
  expect((toEcs(sample('config.changed'), '{"the":"line"}') as Sample).event.original).toBe('{"the":"line"}')
})

it.each([
  ['access.denied', ['network'], ['denied']],
  ['config.changed', ['configuration'], ['change']],
  ['audit.pruned', ['configuration'], ['deletion']],
  ['balancer.started', ['process'], ['start']],
  ['backend.health_changed', ['host'], ['change']],
  ['app.shelved', undefined, undefined],
])('%s is of category %j and type %j', (name, category, type) => {
  expect(ecs(sample(name)).event).toMatchObject(category === undefined ? { kind: 'event' } : { category, type })
  expect(ecs(sample(name)).event.category).toEqual(category)
})

/** Every place in a document. */
const places = (value: unknown, at = ''): string[] =>
  typeof value !== 'object' || value === null
    ? [at]
    : Array.isArray(value)
      ? value.flatMap((one) => places(one, at))
      : Object.entries(value).flatMap(([key, inner]) => places(inner, at === '' ? key : `${at}.${key}`))

it('tells who has placed or lifted a legal hold', () => {
  const user = (log: object): unknown => {
    const event = sample('audit.hold_changed')
    return (toEcs({ ...event, log: { ...event.log, lifted_by: undefined, ...log } }) as Sample).user?.id
  }
  expect(user({ change: 'lifted', lifted_by: 'counsel' })).toBe('counsel')
  expect(user({ change: 'placed' })).toBe('legal')
  expect([user({ change: 'lifted' }), user({ change: 'in-force' })]).toEqual([undefined, undefined])
})

it('has no field that a client, a host or a configuration has named', () => {
  const own = 'named-by-somebody'
  const expected = new Set([...samples.values()].flatMap((event) => places(ecs(event))))
  for (const event of samples.values()) {
    const named = structuredClone(event)
    if (named.http !== undefined) named.http.request.header = { [own]: ['x'] }
    if (named.url !== undefined) named.url.query = { [own]: ['x'] }
    if (named.config !== undefined) named.config.after = { [own]: 1 }
    if (named.balancer !== undefined) named.balancer.config = { [own]: 1 }
    if (named.lb?.decision !== undefined) named.lb.decision.trace = { options: { [own]: 1 } }
    named.app = { [own]: 1 }
    expect(places(ecs(named)).filter((place) => !expected.has(place) && place !== 'url.query')).toEqual([])
  }
})

it('an address that is none is not told as one', () => {
  const event = sample('request.completed')
  event.client.address = '203.0.113.0/24'
  expect(ecs(event).client).toEqual({ address: '203.0.113.0/24', port: 57330 })
})
