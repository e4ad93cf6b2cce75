// Rules: what a user changes in headers and paths, in which order, and what becomes of a rule that fails.
import { describe, expect, it } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import type { BalancerError } from '../../src/errors.ts'
import { answering, saying } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { rawExchange, send, valuesOf } from '../support/raw-client.ts'
import { collect } from '../support/sinks.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

type Headers = NonNullable<BalancerOptions['headers']>
type Paths = NonNullable<BalancerOptions['path']>

const problems = (options: Partial<BalancerOptions>): string[] => {
  try {
    createBalancer({ backends: [], ...options })
    return []
  } catch (error) {
    return (error as BalancerError).problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

/** Sends one request through, and returns what the backend got and what the client did. */
async function through(options: Partial<BalancerOptions>, headers: string[] = [], path = '/') {
  const backend = await answering((response) => {
    response.writeHead(200, ['Server', 'theirs', 'X-A', '1', 'x-a', '2', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'])
    response.end('ok')
  })
  const { port, one } = await edge([backend], options)
  const reply = await send(port, { headers, path })
  const event = await one()
  return { reply, event, seen: backend.seen, got: (name: string) => valuesOf(backend.seen[0]!.rawHeaders, name) }
}

describe('rules for requests', () => {
  it('set, add, remove, rename and replace, in their order', async () => {
    const { got } = await through(
      {
        headers: {
          request: [
            { set: 'X-Env', to: 'prod' },
            { add: 'X-Dup', to: 'three' },
            { remove: 'X-Secret' },
            { rename: 'x-user', to: 'X-Account' },
            { replace: 'X-Dup', match: /^t(.)/, with: 'T$1' },
            { replace: 'x-money', match: '$1', with: '$$&' },
            { set: 'x-last', to: 'first' },
            { set: 'X-Last', to: 'second' },
          ],
        },
      },
      [
        ...['x-env', 'dev', 'X-ENV', 'test', 'x-dup', 'one', 'X-Dup', 'two', 'X-SECRET', 's', '__proto__', 'p'],
        ...['X-User', 'u', 'x-account', 'forged', 'X-Money', 'a $1 b $1'],
      ],
    )
    expect(got('x-env')).toEqual(['prod'])
    expect(got('x-dup')).toEqual(['one', 'Two', 'Three'])
    expect(got('x-secret')).toEqual([])
    expect([got('x-user'), got('x-account')]).toEqual([[], ['u']])
    expect(got('x-money')).toEqual(['a $$& b $$&'])
    expect(got('x-last')).toEqual(['second'])
    expect(got('__proto__')).toEqual(['p'])
  })

  it('rename takes off nothing where there is nothing to rename', async () => {
    const { got } = await through({ headers: { request: [{ rename: 'x-a', to: 'x-b' }] } }, ['X-B', 'own'])
    expect(got('x-b')).toEqual(['own'])
  })

  it('have values that functions tell, by the facts of the request', async () => {
    const { got, event } = await through(
      {
        trustProxy: 1,
        path: [{ addPrefix: '/v1' }],
        headers: {
          request: [
            {
              set: 'x-facts',
              to: ({ method, path, headers, client, requestId, status }) =>
                `${method} ${path} ${headers?.['x-in']} ${client?.address} ${requestId} ${status}`,
            },
            { set: 'x-in', to: () => undefined },
          ],
        },
      },
      ['X-In', 'in', 'X-Forwarded-For', '203.0.113.9'],
      '/a?b',
    )
    expect(got('x-facts')).toEqual([`GET /v1/a?b in 203.0.113.9 ${event.lb.request_id} undefined`])
    expect(got('x-in')).toEqual(['in'])
  })

  it('can set the Host, whatever the option says', async () => {
    for (const host of ['keep', 'backend', { name: 'always.example' }] as const) {
      const { got } = await through({ host, headers: { request: [{ set: 'Host', to: 'ruled.example:81' }] } })
      expect([got('host'), got('x-forwarded-host')]).toEqual([['ruled.example:81'], ['edge.test']])
    }
  })

  it('see nothing of what is for one connection, and cannot touch what we add', async () => {
    const { got, event } = await through(
      { headers: { request: [{ replace: 'x-forwarded-prefix', match: '/', with: '!' }, { remove: 'x-hop' }] } },
      ['Connection', 'x-hop', 'X-Hop', '1', 'X-Forwarded-Prefix', '/evil', 'X-Forwarded-For', '6.6.6.6'],
    )
    expect([got('x-hop'), got('x-forwarded-prefix'), got('x-forwarded-for')]).toEqual([[], [], ['127.0.0.1']])
    expect(got('x-request-id')).toEqual([event.lb.request_id])
  })

  it('take traceparent off', async () => {
    const { got } = await through({ headers: { request: [{ remove: 'traceparent' }] } }, ['traceparent', 'x'])
    expect(got('traceparent')).toEqual([])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no token')
      },
      'header rule 1: no token',
    ],
    ['returns no text', () => 5 as never, 'header rule 1: the value of x-b is no text'],
    [
      'returns a promise that rejects',
      () => Promise.reject(new Error('late')) as never,
      'header rule 1: the value of x-b is no text',
    ],
    ['returns two lines', () => 'a\r\nx-evil: 1', 'header rule 1: the value of x-b cannot be sent'],
    ['returns what is not Latin-1', () => '\u20ac', 'header rule 1: the value of x-b cannot be sent'],
    ['returns far too much', () => 'x'.repeat(16_385), 'header rule 1: the value of x-b cannot be sent'],
  ])('fail the request where a function %s, and nothing is sent', async (_, to, detail) => {
    const { reply, event, seen } = await through({
      headers: {
        request: [
          { set: 'x-a', to: 'a' },
          { set: 'x-b', to },
        ],
      },
    })
    expect(reply.status).toBe(500)
    expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'internal' } })
    expect(event.lb).toMatchObject({ result: 'internal', detail, attempts: [], ended_by: 'balancer' })
    expect(seen).toEqual([])
  })

  it('fail the request where a function makes a Host that is none', async () => {
    const { event, seen } = await through({ headers: { request: [{ set: 'host', to: () => 'a b' }] } })
    expect(event.lb).toMatchObject({ result: 'internal', detail: 'header rule 0: the value of host is no host' })
    expect(seen).toEqual([])
  })

  it('can change while traffic flows, by what functions they hold too', async () => {
    const backend = await answering()
    const { port, balancer } = await edge([backend], { headers: { request: [{ set: 'x-a', to: () => 'one' }] } })
    const ops = balancer.as({ id: 't', type: 'user' })
    await send(port)
    await ops.update({ headers: { request: [{ set: 'x-a', to: () => 'two' }] } })
    await send(port)
    await ops.update({ headers: {}, host: { name: 'fixed.example' } })
    await send(port)
    expect(backend.seen.map(({ rawHeaders }) => valuesOf(rawHeaders, 'x-a'))).toEqual([['one'], ['two'], []])
    expect(valuesOf(backend.seen[2]!.rawHeaders, 'host')).toEqual(['fixed.example'])
  })
})

describe('rules for responses', () => {
  it('change what backends answer, Set-Cookie by Set-Cookie', async () => {
    const { reply, event } = await through({
      headers: {
        response: [
          { remove: 'server' },
          { add: 'Set-Cookie', to: 'c=3' },
          { replace: 'set-cookie', match: /$/, with: '; Secure' },
          { set: 'x-a', to: ({ status, requestId }) => `${status} ${requestId}` },
        ],
      },
    })
    expect(valuesOf(reply.rawHeaders, 'server')).toEqual([])
    expect(valuesOf(reply.rawHeaders, 'set-cookie')).toEqual(['a=1; Secure', 'b=2; Secure', 'c=3; Secure'])
    expect(valuesOf(reply.rawHeaders, 'x-a')).toEqual([`200 ${event.lb.request_id}`])
    expect(reply).toMatchObject({ body: 'ok', complete: true })
  })

  it('fail the request where a function throws, and the backend is not blamed', async () => {
    const options = {
      health: { passive: { failures: 1 } },
      headers: {
        response: [
          {
            set: 'x-a',
            to: () => {
              throw new Error('no')
            },
          },
        ],
      },
    }
    const backend = await answering((response) => response.end('secret'.repeat(100_000)))
    const { port, completed, balancer } = await edge([backend, await answering()], options)
    const replies = [await send(port), await send(port), await send(port, { method: 'POST', body: 'x' })]
    for (const reply of replies) {
      expect(reply.status).toBe(500)
      expect(reply.body).not.toContain('secret')
    }
    for (const { lb } of await completed(3))
      expect(lb).toMatchObject({ result: 'internal', detail: 'header rule 0: no', attempts: [{ result: 'internal' }] })
    expect(balancer.snapshot().backends.map(({ passive }) => passive)).toEqual(['ok', 'ok'])
  })

  it('fail the request where the response that was set aside is the answer', async () => {
    const backend = await saying('HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno')
    const { port, one } = await edge([backend], {
      retry: { statuses: [503] },
      headers: { response: [{ set: 'x-a', to: () => 5 as never }] },
    })
    expect(await send(port)).toMatchObject({ status: 500 })
    expect((await one()).lb).toMatchObject({ result: 'internal' })
  })

  it('leave our own answers alone', async () => {
    const { port } = await edge([], { headers: { response: [{ set: 'x-a', to: 'a' }] } })
    const reply = await send(port)
    expect(reply.status).toBe(503)
    expect(valuesOf(reply.rawHeaders, 'x-a')).toEqual([])
  })
})

describe('a rule that cannot be', () => {
  it.each([
    'connection',
    'Keep-Alive',
    'te',
    'Transfer-Encoding',
    'content-length',
    'trailer',
    'upgrade',
    'expect',
    'proxy-authorization',
    'http2-settings',
    'Content_Length',
  ])('names %s, which belongs to the connection', (name) => {
    const lower = name.toLowerCase().replace('_', '-')
    const message = `expected a name other than ${lower}, which belongs to the connection`
    for (const rule of [
      { set: name, to: 'x' },
      { add: name, to: 'x' },
      { remove: name },
      { replace: name, match: 'a', with: 'b' },
    ])
      for (const way of ['request', 'response'] as const)
        expect(problems({ headers: { [way]: [rule] } as Headers })).toEqual([
          expect.stringMatching(new RegExp(`^headers\\.${way}\\[0\\]\\.\\w+: ${message}`)),
        ])
    expect(problems({ headers: { request: [{ rename: 'x-a', to: name }] } })[0]).toContain(message)
  })

  it.each([
    'Via',
    'forwarded',
    'x-forwarded-for',
    'X-Forwarded-Proto',
    'x-forwarded-host',
    'x-forwarded-port',
    'x-request-id',
    'X_Request_Id',
    'x-mirrored',
    'traceparent',
    'tracestate',
  ])('forges %s, which is ours', (name) => {
    expect(
      problems({
        headers: {
          request: [
            { set: name, to: 'x' },
            { rename: 'x-a', to: name },
          ],
        },
      }),
    ).toEqual([
      expect.stringContaining('headers.request[0].set: expected a name other than'),
      expect.stringContaining('headers.request[1].to: expected a name other than'),
    ])
  })

  it.each([
    [{ remove: 'host' }, 'headers.request[0].remove: expected a name other than host, which can only be set'],
    [{ add: 'host', to: 'a' }, 'headers.request[0].add: expected a name other than host, which can only be set'],
    [{ rename: 'x-a', to: 'Host' }, 'headers.request[0].to: expected a name other than host, which can only be set'],
    [{ set: 'a b', to: 'x' }, 'headers.request[0].set: expected a name of token characters'],
    [{ set: 'x-a', to: 'a\r\nb' }, 'headers.request[0].to: expected a value without control characters, in Latin-1'],
    [{ set: 'x-a', to: 5 }, 'headers.request[0].to: expected text, or a function that returns it'],
    [{ set: 'host', to: 'a b' }, 'headers.request[0].to: expected a host name, with or without a port'],
    [{ replace: 'x-a', match: '', with: '' }, 'headers.request[0].match: expected '],
    [{ sett: 'x-a', to: 'x' }, 'headers.request[0]: expected an object with `set`, `add`'],
    [{ set: 'x-a', to: 'x', from: 'y' }, 'headers.request[0].from: unknown option'],
  ])('is told with its place: %j', (rule, problem) => {
    expect(problems({ headers: { request: [rule as never] } })).toEqual([expect.stringContaining(problem)])
  })

  it.each([
    [{ stripPrefix: 'api' }, 'path[0].stripPrefix: expected a path that begins with /'],
    [{ addPrefix: '/a?b' }, 'path[0].addPrefix: expected a path without query'],
    [{ addPrefix: '/../a' }, 'path[0].addPrefix: expected a path without the segments . and ..'],
    [{ replace: '/a', with: '/b' }, 'path[0].replace: expected a regular expression'],
    [{ replace: /a/ }, 'path[0].with: expected text'],
    [{}, 'path[0]: expected an object with `stripPrefix`'],
  ])('for a path is told with its place: %j', (rule, problem) => {
    expect(problems({ path: [rule as never] })).toEqual([expect.stringContaining(problem)])
  })
})

describe('rules for paths', () => {
  const asked = async (path: Paths, target: string) => {
    const { reply, event, seen } = await through({ path }, [], target)
    return { status: reply.status, event, url: seen[0]?.url }
  }

  it.each([
    [[{ stripPrefix: '/api' }], '/api/users?x=/api', '/users?x=/api'],
    [[{ stripPrefix: '/api/' }], '/api', '/'],
    [[{ stripPrefix: '/api' }], '/api?x', '/?x'],
    [[{ stripPrefix: '/api' }], '/apis', '/apis'],
    [[{ stripPrefix: '/api' }], '/API/x', '/API/x'],
    [[{ stripPrefix: '/' }], '/a', '/a'],
    [[{ addPrefix: '/v1/' }], '/', '/v1/'],
    [[{ addPrefix: '/v1' }], '/a%2Fb//c', '/v1/a%2Fb//c'],
    [[{ stripPrefix: '/a' }, { addPrefix: '/b' }, { replace: /\/b\/(\d+)$/, with: '/n/$1' }], '/a/42', '/n/42'],
    [[{ replace: /o/g, with: '0' }], '/foo?foo', '/f00?foo'],
    [[{ replace: /x/y, with: 'z' }], '/x', '/x'],
    [[{ stripPrefix: '/api' }], '/api/...', '/...'],
    [[], '/a/../b', '/a/../b'],
  ] as [Paths, string, string][])('%j make of %s: %s', async (rules, target, expected) => {
    const { url, event } = await asked(rules, target)
    expect(url).toBe(expected)
    const [was, is] = [target, expected].map((text) => text.split('?', 1)[0])
    expect(event.url).toMatchObject(was === is ? { path: was } : { path: is, original_path: was })
    if (was === is) expect(event.url.original_path).toBeUndefined()
  })

  it.each([
    '/api/../x',
    '/api/%2e%2E/x',
    '/api/..',
    '/api/.',
    '/api/..;a/x',
    '/api%2f..%2fx',
    '/api/..%5cx',
    '/api/%2e./x',
  ])('refuse what a backend would resolve: %s', async (target) => {
    const { status, event, url } = await asked([{ stripPrefix: '/api' }], target)
    expect([status, url]).toEqual([400, undefined])
    expect(event.lb).toMatchObject({ result: 'malformed', attempts: [] })
  })

  it('begin anew with each request, with sticky expressions too', async () => {
    const backend = await answering()
    const { port } = await edge([backend], {
      path: [{ replace: /\/x/y, with: '/z' }],
      headers: { request: [{ replace: 'x-a', match: /a/y, with: 'b' }] },
    })
    for (let i = 0; i < 3; i++) await send(port, { path: '/x', headers: ['X-A', 'a', 'x-a', 'a'] })
    expect(backend.seen.map(({ url, rawHeaders }) => [url, ...valuesOf(rawHeaders, 'x-a')])).toEqual(
      Array(3).fill(['/z', 'b', 'b']),
    )
  })

  it('refuse dot segments that they make of what came', async () => {
    const { status, url } = await asked([{ replace: /X/g, with: '.' }], '/a/XX/b')
    expect([status, url]).toEqual([400, undefined])
  })

  it.each([
    [[{ replace: /^\//, with: '' }], '/a'],
    [[{ replace: /a/, with: 'b c' }], '/a'],
    [[{ replace: /a/, with: 'b?c' }], '/a'],
    [[{ replace: /a/, with: 'b#c' }], '/a'],
    [[{ replace: /a/, with: 'b\r\nx: y' }], '/a'],
    [[{ replace: /a/, with: '\u20ac' }], '/a'],
    [[{ replace: /.*/, with: 'http://evil/' }], '/a'],
  ] as [Paths, string][])('fail the request where %j make no path', async (rules, target) => {
    const { status, event, url } = await asked(rules, target)
    expect([status, url]).toEqual([500, undefined])
    expect(event.lb).toMatchObject({ result: 'internal', detail: 'path rules made no path' })
  })

  it('see the path of a URL in absolute form', async () => {
    const backend = await answering()
    const { port } = await edge([backend], { path: [{ stripPrefix: '/api' }] })
    await rawExchange(port, 'GET http://shop.example/api/x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(backend.seen).toMatchObject([{ url: '/x?y' }])
  })
})

it('functions of rules see the host that is asked for, whatever Host says', async () => {
  const backend = await answering()
  const { port } = await edge([backend], {
    headers: { request: [{ set: 'x-asked', to: ({ headers }) => String(headers?.host) }] },
  })
  const rest = 'Host: other.example\r\nConnection: close\r\n\r\n'
  await rawExchange(port, `GET http://shop.example/x HTTP/1.1\r\n${rest}`)
  await rawExchange(port, `GET /x HTTP/1.1\r\n${rest}`)
  expect(
    backend.seen.map(({ rawHeaders }) => ['host', 'x-asked'].flatMap((name) => valuesOf(rawHeaders, name))),
  ).toEqual([
    ['shop.example', 'shop.example'],
    ['other.example', 'other.example'],
  ])
})

it('the record of the configuration has the names of rules, and of values the lengths', async () => {
  const secret = 'Bearer-s3cret'
  const sink = collect()
  const { events, ops, balancer } = watched({
    backends: [],
    audit: { sinks: [sink] },
    headers: {
      request: [
        { set: 'authorization', to: secret },
        { rename: 'x-a', to: 'x-b' },
        { replace: 'cookie', match: secret, with: secret },
        { replace: 'cookie', match: new RegExp(secret, 'g'), with: '' },
        {
          add: 'x-f',
          to: function token() {
            return secret
          },
        },
        { remove: 'x-c' },
      ],
    },
    trustProxy: { from: ['loopback'], header: 'forwarded' },
    path: [{ replace: /^\/a/g, with: '/b' }],
  })
  await balancer.ready()
  await until(() => sink.events('balancer.started').length === 1)
  expect(sink.events('balancer.started')[0].balancer.config).toMatchObject({
    headers: {
      request: [
        { set: 'authorization', to: { length: 13 } },
        { rename: 'x-a', to: 'x-b' },
        { replace: 'cookie', match: { length: 13 }, with: { length: 13 } },
        { replace: 'cookie', match: { length: 13 }, with: { length: 0 } },
        { add: 'x-f', to: '[function token]' },
        { remove: 'x-c' },
      ],
      response: [],
    },
    trustProxy: { from: ['loopback'], header: 'forwarded' },
    path: [{ replace: '/^\\/a/g', with: '/b' }],
  })
  // Another secret of the same length is another configuration.
  const before = await ops.update({ headers: { request: [{ set: 'authorization', to: 'Bearer-s3cres' }] } })
  const after = await ops.update({ headers: { request: [{ set: 'authorization', to: secret }] } })
  expect(after).toBe(before + 1)
  expect(JSON.stringify(events) + sink.lines().join()).not.toContain('s3cre')
})
