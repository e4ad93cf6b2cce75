// The host's own entries: its denials and its `app.*` events.
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { watched } from '../support/watched.ts'

it('a denial carries rule, phase, actor, client, and what the host adds', () => {
  const w = watched({ backends: [], name: 'edge' })
  w.balancer.audit.record('access.denied', {
    rule: 'login',
    phase: 'admin',
    detail: 'no\nsuch\u001b[31m user',
    request_id: 'r1',
    actor: { id: 'm\u0000allory', type: 'user' },
    client: { address: '192.0.2.1', agent: 'x' },
    tries: 3,
  })
  expect(w.of('access.denied')[0]).toMatchObject({
    outcome: 'failure',
    severity: 13,
    access: { rule: 'login', phase: 'admin', detail: 'no\\x0asuch\\x1b[31m user' },
    actor: { id: 'm\\x00allory', type: 'user' },
    client: { address: '192.0.2.1', source: 'given' },
    lb: { request_id: 'r1', pool: 'edge', config_revision: 1 },
    app: { tries: 3 },
  })
  w.balancer.audit.record('access.denied', { rule: 'x' })
  expect(w.of('access.denied')[1].access).toEqual({ rule: 'x', phase: 'request' })
})

it('fields of an app event are bounded and escaped, and what is left out is marked', () => {
  const w = watched({ backends: [] })
  const deep = { a: { b: { c: { d: { e: { f: { g: { h: { i: 1 } } } } } } } } }
  w.balancer.audit.record('app.order.paid', {
    n: 1,
    ratio: 0.5,
    big: 10n,
    none: null,
    no: undefined,
    when: new Date(0),
    bad: new Date(Number.NaN),
    lone: '\ud800',
    nl: 'a\nb\\',
    long: 'x'.repeat(2000),
    list: Array.from({ length: 70 }, (_, i) => i),
    wide: Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i])),
    deep,
  })
  const { app } = w.of('app.order.paid')[0]
  expect(app).toMatchObject({
    n: 1,
    ratio: '0.5',
    big: '10',
    none: null,
    when: '1970-01-01T00:00:00.000Z',
    bad: 'an invalid date',
    lone: '\\u{d800}',
    nl: 'a\\x0ab\\\\',
  })
  expect(app.long).toBe(`${'x'.repeat(1024)}[+976]`)
  expect(app.list).toHaveLength(65)
  expect(app.list[64]).toBe('[+6]')
  expect(Object.keys(app.wide)).toHaveLength(65)
  expect(app.wide['[+]']).toBe(6)
  expect(JSON.stringify(app.deep)).toContain('[too deep]')
})

it.each(['x', 'app', 'app.', 'app.X', 'app.a b', 'balancer.started', '*', `app.${'a'.repeat(121)}`])(
  '%s is no name for one',
  (name) => {
    const w = watched({ backends: [] })
    expect(() => w.balancer.audit.record(name as 'app.x', {})).toThrow(
      expect.objectContaining({ code: 'event-unknown' }),
    )
  },
)

it.each([undefined, {}, { rule: '' }, { rule: 'x', phase: 'later' }, { rule: 'x', actor: { id: 'y' } }])(
  '%j is no denial',
  (given) => {
    const audit = createAudit()
    expect(() => audit.record('access.denied', given as never)).toThrow(
      expect.objectContaining({ code: 'config-invalid' }),
    )
  },
)
