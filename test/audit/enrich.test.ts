// Enrichment: what the host says of a request, in each framework, and that it can do no harm.
import type { ServerResponse } from 'node:http'
import express from 'express'
import fastify from 'fastify'
import { expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { createAudit } from '../../src/audit/create.ts'
import type { Enrich } from '../../src/audit/enrich.ts'
import { answering } from '../support/backends.ts'
import { edge, recorded } from '../support/edge.ts'
import { serveApp as serveExpress } from '../support/express.ts'
import { serveApp as serveFastify } from '../support/fastify.ts'
import { send } from '../support/raw-client.ts'
import { keepLogger } from '../support/sinks.ts'

const byUser: Enrich = ({ appRequest }) => {
  const user = appRequest.user as { id: string } | undefined
  return user && { principal: { id: user.id, type: 'user' }, tenant: 'acme', authentication: { result: 'ok' } }
}
const said = { principal: { id: 'ada', type: 'user' }, tenant: 'acme', authentication: { result: 'ok' } }

it('gets what is known of the request, once, when it is over', async () => {
  const seen: unknown[] = []
  const backend = await answering((response) => response.writeHead(201).end('ok'))
  const e = await edge([backend], {
    audit: {
      enrich: ({ request, appRequest, ...facts }) => {
        seen.push({ ...facts, same: appRequest === (request as unknown), agent: request.headers['user-agent'] })
        return { note: 'a\nb', n: 0.5 }
      },
    },
  })
  await send(e.port, { method: 'POST', path: '/a?b', body: 'x', headers: ['User-Agent', 'me'] })
  const { app, lb } = await e.one()
  expect(app).toEqual({ note: 'a\\x0ab', n: '0.5' })
  expect(seen).toEqual([
    {
      agent: 'me',
      client: '127.0.0.1',
      method: 'POST',
      path: '/a',
      requestId: lb.request_id,
      result: 'ok',
      same: true,
      status: 201,
    },
  ])
})

it('is not called for what a policy leaves out, and is for what it records least of', async () => {
  let calls = 0
  const policy = { rules: [{ level: 'none' as const, when: { path: '/none' } }] }
  const enrich = () => ({ tenant: `t${++calls}` })
  const e = await edge([await answering()], { audit: { policy, enrich } })
  await send(e.port, { path: '/none' })
  await send(e.port, { path: '/meta' })
  expect(await e.one()).toMatchObject({ app: { tenant: 't1' }, lb: { level: 'metadata' } })
})

it.each<[string, Enrich]>([
  [
    'throws',
    () => {
      throw new Error('no user')
    },
  ],
  ['returns a promise', (async () => Promise.reject(new Error('late'))) as unknown as Enrich],
  ['returns a text', (() => 'ada') as unknown as Enrich],
  ['returns a list', (() => ['ada']) as unknown as Enrich],
])('one that %s is told once, and the record goes on without', async (_, enrich) => {
  const logger = keepLogger()
  const e = await edge([await answering()], { audit: { enrich, logger } })
  expect((await send(e.port, {})).status).toBe(200)
  expect((await send(e.port, {})).status).toBe(200)
  for (const { app } of await e.completed(2)) expect(app).toBeUndefined()
  expect(logger.told.filter(({ message }) => message.includes('audit.enrich'))).toHaveLength(1)
})

it('what is no function is refused', () => {
  expect(() => createAudit({ enrich: {} as never })).toThrow(expect.objectContaining({ code: 'config-invalid' }))
})

it.each([true, false])('knows what an Express app has put on its request; auditOnly: %j', async (auditOnly) => {
  const record = recorded({ backends: [await answering()], audit: { enrich: byUser } })
  const app = express()
  app.use((request, _, next) => {
    Object.assign(request, { user: { id: 'ada' } })
    next()
  })
  app.use(expressBalancer(record.balancer, { auditOnly }))
  app.use((_: unknown, response: ServerResponse) => void response.end('own'))
  expect((await send(await serveExpress(app), {})).body).toBe(auditOnly ? 'own' : 'ok')
  expect((await record.one()).app).toEqual(said)
})

it.each([true, false])('knows what a Fastify app has put on its request; auditOnly: %j', async (auditOnly) => {
  const record = recorded({ backends: [await answering()], audit: { enrich: byUser } })
  const app = fastify()
  if (auditOnly) await app.register(fastifyBalancer, { balancer: record.balancer, auditOnly })
  app.decorateRequest('user', null as unknown)
  app.addHook('preHandler', async (request) => void Object.assign(request, { user: { id: 'ada' } }))
  if (auditOnly) app.get('/', async () => 'own')
  else await app.register(fastifyBalancer, { balancer: record.balancer })
  expect((await send(await serveFastify(app), {})).body).toBe(auditOnly ? 'own' : 'ok')
  expect((await record.one()).app).toEqual(said)
})
