// The name of the service comes from the environment, and is one that folders and origins can bear.
import { afterEach, expect, it, vi } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { createBalancer } from '../../src/balancer.ts'
import { memoryStore } from '../support/sinks.ts'

afterEach(() => vi.unstubAllEnvs())

async function named(service?: string): Promise<string> {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store], ...(service === undefined ? {} : { service }) })
  await audit.ready()
  await audit.close()
  return store.events('control')[0].service.name
}

it('goes before the option, with dashes for what no origin can hold', async () => {
  expect([await named(), await named('edge')]).toEqual(['auditlb', 'edge'])
  vi.stubEnv('OTEL_SERVICE_NAME', 'the shop/é')
  expect(await named('edge')).toBe('the-shop--')
  vi.stubEnv('OTEL_SERVICE_NAME', '')
  expect(await named('edge')).toBe('edge')
})

it.each(['n'.repeat(65), '.', '..'])('%s is refused, as it is as an option', (name) => {
  const invalid = expect.objectContaining({ code: 'config-invalid' })
  expect(() => createAudit({ service: name })).toThrow(invalid)
  expect(() => createBalancer({ name, backends: [] })).toThrow(invalid)
  vi.stubEnv('OTEL_SERVICE_NAME', name)
  expect(() => createAudit({ service: 'edge' })).toThrow(
    /the environment has 1 problem\s+OTEL_SERVICE_NAME: expected 1 to 64/,
  )
  expect(() => createBalancer({ backends: [] })).toThrow(invalid)
})
