// The options of the adapter for Express, in both versions: which requests it takes, and who answers those that failed.
import type { ErrorRequestHandler, Request, Response } from 'express'
import { describe, expect, it } from 'vitest'
import { type ExpressBalancerOptions, expressBalancer } from '../../src/adapters/express.ts'
import { createBalancer } from '../../src/balancer.ts'
import { BalancerError } from '../../src/errors.ts'
import { answering, refusing, silent } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { expressVersions, serveApp } from '../support/express.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { memoryStore } from '../support/sinks.ts'
import { until } from '../support/until.ts'

describe('the options of expressBalancer', () => {
  const refused = (options: unknown): unknown => {
    const balancer = createBalancer({ backends: [], audit: { sinks: [] } })
    try {
      expressBalancer(balancer, options as ExpressBalancerOptions)
    } catch (error) {
      if (error instanceof BalancerError) return [error.code, error.problems.map(({ path }) => path)]
      throw error
    } finally {
      void balancer.close()
    }
    return undefined
  }

  it.each([
    [{ match: '/api' }, ['match']],
    [{ onError: 'throw' }, ['onError']],
    [{ keepMount: 1, auditOnly: 'yes' }, ['keepMount', 'auditOnly']],
    [{ stripMount: true }, ['stripMount']],
    [{ auditOnly: true, onError: 'next', keepMount: true }, ['onError', 'keepMount']],
    ['next', ['(the whole)']],
  ])('refuse %j', (options, paths) => {
    expect(refused(options)).toEqual(['config-invalid', paths])
  })
})

describe.each(expressVersions)('expressBalancer on $name', ({ express }) => {
  it('takes what match takes, and leaves the rest to others, without a record', async () => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = express()
    const later = async (request: Request) => request.url.startsWith('/b')
    app.use(expressBalancer(balancer, { match: (request: Request) => request.url.startsWith('/a') }))
    app.use(expressBalancer(balancer, { match: later }))
    app.use((request: Request, response: Response) => void response.send(`own ${request.url}`))
    const port = await serveApp(app)
    const bodies: string[] = []
    for (const path of ['/a', '/b', '/c']) bodies.push((await send(port, { path })).body)
    expect(bodies).toEqual(['ok', 'ok', 'own /c'])
    expect((await completed(2)).map(({ url }) => url.path)).toEqual(['/a', '/b'])
  })

  it('takes nothing that would lead out of what match lets through', async () => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = express()
    app.use(expressBalancer(balancer, { match: ({ url }) => url!.startsWith('/public/') }))
    const port = await serveApp(app)
    for (const path of ['/public/../admin', '/public/%2e%2e/admin'])
      expect(await send(port, { path })).toMatchObject({ status: 400 })
    expect(backend.seen).toEqual([])
    await completed(2)
  })

  it('loses nothing of a body while match decides', async () => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend] })
    const app = express()
    const match = () => new Promise<boolean>((resolve) => setImmediate(resolve, true))
    app.use(expressBalancer(balancer, { match }))
    const body = 'x'.repeat(1_000_000)
    expect(await send(await serveApp(app), { method: 'POST', body })).toMatchObject({ status: 200 })
    expect(backend.seen[0]!.body).toHaveLength(1_000_000)
    await one()
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
    ],
    [
      'throws nothing',
      () => {
        throw undefined
      },
    ],
    ['rejects', () => Promise.reject(new Error('no idea'))],
    ['rejects with a word that Express knows', () => Promise.reject('route')],
  ])('hands an error on where match %s, and takes nothing', async (_name, match) => {
    const backend = await answering()
    const { balancer, completions } = recorded({ backends: [backend] })
    const app = express()
    app.use(expressBalancer(balancer, { match }))
    app.use((_request: Request, response: Response) => void response.send('passed by'))
    const onError: ErrorRequestHandler = (error, _request, response, _next) =>
      void response.status(500).send(error instanceof Error ? 'an error' : 'none')
    app.use(onError)
    expect(await send(await serveApp(app))).toMatchObject({ status: 500, body: 'an error' })
    expect([backend.seen, completions()]).toEqual([[], []])
  })

  it('keeps the mount path for the backend by keepMount, and still refuses what leads out of it', async () => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = express()
    app.use('/api', expressBalancer(balancer, { keepMount: true }))
    const port = await serveApp(app)
    const statuses: number[] = []
    for (const path of ['/api', '/api/x?q', '/api/../admin', '/api/%2e%2e/admin'])
      statuses.push((await send(port, { path })).status)
    expect(statuses).toEqual([200, 200, 400, 400])
    expect(backend.seen.map(({ url }) => url)).toEqual(['/api', '/api/x?q'])
    const events = await completed(4)
    expect(events.map(({ http }) => http.route)).toEqual(Array(4).fill('/api'))
    expect(events.slice(0, 2).map(({ url }) => [url.path, url.original_path])).toEqual([
      ['/api', undefined],
      ['/api/x', undefined],
    ])
  })
})

describe.each(expressVersions)('expressBalancer on $name with onError next', ({ express }) => {
  type Handler = (error: BalancerError, response: Response) => void
  const plain: Handler = (error, response) => void response.status(error.status).json({ sorry: error.code })

  const serve = async (
    backends: Parameters<typeof recorded>[0]['backends'],
    handler: Handler = plain,
    options: object = {},
  ) => {
    const record = recorded({ backends, ...options })
    const errors: BalancerError[] = []
    const app = express()
    app.use('/api', expressBalancer(record.balancer, { onError: 'next' }))
    const onError: ErrorRequestHandler = (error, _request, response, _next) => {
      errors.push(error)
      handler(error, response)
    }
    app.use(onError)
    return { ...record, errors, port: await serveApp(app) }
  }

  it('hands a hop that failed to the error handler, whose answer is in the one record', async () => {
    const { port, one, errors } = await serve([await refusing()], (error, response) =>
      response.status(200).send(`instead of ${error.code}`),
    )
    const reply = await send(port, { path: '/api/x' })
    expect(reply).toMatchObject({ status: 200, body: 'instead of connect-refused' })
    const { lb, http, url } = await one()
    expect([lb.result, lb.attempts.length, http.response, http.route, url.original_path]).toEqual([
      'connect-refused',
      1,
      { body: { size: 26 }, status_code: 200 },
      '/api',
      '/api/x',
    ])
    expect(errors).toMatchObject([{ code: 'connect-refused', status: 502, requestId: lb.request_id }])
    expect(errors[0]).toBeInstanceOf(BalancerError)
    expect(errors[0]!.message).not.toMatch(/ECONN|127\.0\.0\.1/)
    expect(String(errors[0]!.cause)).toMatch(/ECONNREFUSED/)
    expect(valuesOf(reply.rawHeaders, 'x-request-id')).toEqual([lb.request_id])
  })

  it.each([
    ['no-backend', 503, {}],
    ['denied', 403, { access: { deny: ['127.0.0.0/8'] } }],
  ])('hands over what is refused before a hop: %s', async (code, status, options) => {
    const { port, one } = await serve([], undefined, options)
    const reply = await send(port, { path: '/api' })
    expect([reply.status, JSON.parse(reply.body)]).toEqual([status, { sorry: code }])
    expect(await one()).toMatchObject({ lb: { result: code }, http: { response: { status_code: status } } })
  })

  it('answers what is not well-formed by itself, and closes the connection', async () => {
    const { port, one, errors } = await serve([await answering()])
    const client = await rawClient(port, 'GET /api HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
    await client.ended
    expect(client.text()).toMatch(/^HTTP\/1\.1 400 /)
    expect([(await one()).lb.result, errors]).toEqual(['malformed', []])
  })

  it('cuts a response off that had begun, as ever', async () => {
    const backend = await answering((response) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('half.', () => response.destroy())
    })
    const { port, one, errors } = await serve([backend])
    expect(await send(port, { path: '/api' })).toMatchObject({ status: 200, complete: false })
    expect([(await one()).lb.result, errors]).toEqual(['backend-cut', []])
  })

  it('closes a connection whose body was not read, and keeps one that can go on', async () => {
    const { port, completed } = await serve([await silent('reset')])
    const kept = await rawClient(port, 'GET /api HTTP/1.1\r\nHost: a\r\n\r\n')
    await kept.has('backend-reset')
    kept.write('GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await kept.ended
    expect(kept.text().match(/HTTP\/1\.1 502/g)).toHaveLength(2)
    const unread = await rawClient(port, 'POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nxyz')
    await unread.ended
    expect(unread.text()).toMatch(/^HTTP\/1\.1 502 [\s\S]*\r\nConnection: close\r\n/)
    await completed(3)
  })

  it('records that the client left where the handler never answers', async () => {
    const { port, one, errors } = await serve([await refusing()], () => undefined)
    const client = await rawClient(port, 'GET /api HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => errors.length === 1)
    client.socket.destroy()
    expect(await one()).toMatchObject({
      lb: { result: 'client-gone', detail: 'unanswered: connect-refused', attempts: [{ result: 'connect-refused' }] },
      http: { response: { status_code: 499 } },
    })
  })

  it('leaves it to Express where no handler answers', async () => {
    const { balancer, one } = recorded({ backends: [await refusing()] })
    const app = express()
    app.set('env', 'test')
    app.use(expressBalancer(balancer, { onError: 'next' }))
    expect(await send(await serveApp(app))).toMatchObject({ status: 502 })
    expect(await one()).toMatchObject({ lb: { result: 'connect-refused' }, http: { response: { status_code: 502 } } })
  })

  it('does not hold the answer of the app until its line is on disk', async () => {
    const store = memoryStore({ persist: () => new Promise(() => undefined) })
    const { port, balancer } = await serve([await refusing()], plain, { audit: { sinks: [store] } })
    await balancer.ready()
    expect(await send(port, { path: '/api' })).toMatchObject({ status: 502, complete: true })
    await until(() => store.events('traffic').some(({ event_name }) => event_name === 'request.completed'))
  })
})
