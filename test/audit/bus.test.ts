// The bus: listeners hear everything and can do no harm.
import { expect, it } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

function pool() {
  const logger = keepLogger()
  const balancer = createBalancer({ backends: [{ url: 'http://a', weight: 0 }], audit: { logger } })
  return { balancer, logger }
}

it('a listener hears the events of its name, one of `*` all; off ends that', () => {
  const { balancer } = pool()
  const heard: string[] = []
  const one = (): void => void heard.push('one')
  const all = (event: { event_name: string }): void => void heard.push(event.event_name)
  balancer.audit.on('app.x', one)
  balancer.audit.on('app.x', one)
  balancer.audit.on('*', all)
  balancer.audit.record('app.x', {})
  balancer.audit.record('app.y', {})
  balancer.audit.off('app.x', one)
  balancer.audit.off('app.x', one)
  balancer.audit.off('app.never', one)
  balancer.audit.record('app.x', {})
  balancer.audit.off('*', all)
  balancer.audit.record('app.x', {})
  expect(heard).toEqual(['one', 'app.x', 'app.y', 'app.x'])
})

it('one that throws, rejects or hangs changes nothing, and is told once each', async () => {
  const { balancer, logger } = pool()
  const heard: string[] = []
  balancer.audit.on('app.x', () => {
    throw new Error('thrown')
  })
  balancer.audit.on('app.x', async () => {
    throw new Error('rejected')
  })
  balancer.audit.on('app.x', () => new Promise(() => undefined))
  balancer.audit.on('app.x', ({ event_name }) => void heard.push(event_name))
  for (let i = 0; i < 5; i++) balancer.audit.record('app.x', {})
  expect(heard).toHaveLength(5)
  await until(() => logger.told.length >= 2)
  expect(logger.told.map(({ fields }) => fields.error).sort()).toEqual(['rejected', 'thrown'])
  expect((await balancer.close()).undelivered).toEqual({})
})

it('what cannot be heard is refused, with the nearest name that there is', () => {
  const { balancer } = pool()
  const { audit } = balancer
  const listen = (name: string, listener: unknown = () => undefined) => {
    audit.on(name as never, listener as never)
  }
  const refused = (act: () => void, message: string) =>
    expect(act).toThrow(expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining(message) }))
  refused(
    () => listen('config.chagned'),
    'there is no event "config.chagned" to listen to; the nearest is "config.changed"',
  )
  refused(
    () => listen('request.*'),
    'there is no event "request.*" to listen to: expected a whole name, or `*` for all',
  )
  refused(() => listen('app.*'), 'expected a whole name, or `*` for all')
  refused(() => listen(5 as never), 'there is no event a number to listen to')
  refused(() => audit.on('*', undefined as never), 'a listener is a function (event) => …, got nothing')
  refused(
    () => audit.on('config.changed', 'x' as never),
    'a listener is a function (event) => …, got a text of 1 character',
  )
  listen('app.anything')
  listen('*')
})

it('a logger that throws does no harm either', () => {
  const broken = () => {
    throw new Error('disk full')
  }
  const balancer = createBalancer({ backends: [], audit: { logger: { warn: broken, error: broken } } })
  balancer.audit.on('*', broken)
  expect(() => balancer.pick()).not.toThrow()
})

it('events are frozen through and through, and nothing that a listener could change is shared', () => {
  const { balancer } = pool()
  const thawed: string[] = []
  const look = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Object.isFrozen(value)) thawed.push(path)
    for (const [key, member] of Object.entries(value)) look(member, `${path}.${key}`)
  }
  balancer.audit.on('*', (event) => look(event, event.event_name))
  balancer.pick({ client: { address: '192.0.2.1' } })
  balancer.audit.record('app.x', { deep: [{ list: [1] }] })
  balancer.audit.record('access.denied', { rule: 'login', actor: { id: 'u', type: 'user' } })
  expect(thawed).toEqual([])
  expect(balancer.pick().decision.excluded.every(Object.isFrozen)).toBe(true)
})
