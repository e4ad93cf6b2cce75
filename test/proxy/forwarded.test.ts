// Who the client is: what is believed of what proxies say, what is not, and what backends are told of it.
import { createServer as createHttpServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { attach, createServer, nodeHandler } from '../../src/adapters/node.ts'
import { saidIn, type Trust } from '../../src/proxy/forwarded.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { tempFolder } from '../support/folder.ts'
import { rawExchange, send, valuesOf } from '../support/raw-client.ts'
import { keepLogger } from '../support/sinks.ts'

/** Believes the addresses that begin so. */
const believing = (prefix: string, header: Trust['header'] = 'either'): Trust => ({
  header,
  trusts: (address) => address.startsWith(prefix),
})
const chainOf = (name: string, value: string, trust = believing('10.')): string[] =>
  saidIn([name, value], trust).chain.map(({ address, port }) => (port === undefined ? address : `${address} ${port}`))

describe('X-Forwarded-For', () => {
  it.each([
    ['203.0.113.9', ['203.0.113.9']],
    ['203.0.113.9, 10.0.0.2', ['203.0.113.9', '10.0.0.2']],
    ['6.6.6.6, 203.0.113.9,10.0.0.2 ,10.0.0.3', ['203.0.113.9', '10.0.0.2', '10.0.0.3']],
    ['203.0.113.9:4711', ['203.0.113.9 4711']],
    ['[2001:db8::1]:4711', ['2001:db8::1 4711']],
    ['2001:DB8:0::1', ['2001:db8::1']],
    ['[::ffff:203.0.113.9]', ['203.0.113.9']],
    ['::ffff:cb00:7109', ['203.0.113.9']],
    ['\t203.0.113.9 ', ['203.0.113.9']],
    ['10.0.0.1, 10.0.0.2', ['10.0.0.1', '10.0.0.2']],
    ['', []],
    [',', []],
    ['203.0.113.9,', []],
    ['unknown', []],
    ['203.0.113.9, unknown, 10.0.0.2', ['10.0.0.2']],
    ['203.0.113.9, , 10.0.0.2', ['10.0.0.2']],
    ['203.0.113', []],
    ['203.0.113.09', []],
    ['203.0.113.9:0', []],
    ['203.0.113.9:65536', []],
    ['203.0.113.9:', []],
    ['[203.0.113.9]', []],
    ['[2001:db8::1', []],
    ['2001:db8::1%eth0', []],
    ['fe80::1%eth0', []],
    ['"203.0.113.9"', []],
    ['for=203.0.113.9', []],
    ['evil.example', []],
    ['203.0.113.9 10.0.0.1', []],
    ['__proto__', []],
    [`${'1'.repeat(600)}, 10.0.0.2`, ['10.0.0.2']],
  ])('%j is %j', (value, chain) => {
    expect(chainOf('X-Forwarded-For', value)).toEqual(chain)
  })

  it('is one list over all its lines', () => {
    const { chain, text } = saidIn(
      ['x-forwarded-for', '6.6.6.6', 'X-FORWARDED-FOR', '203.0.113.9', 'x-forwarded-for', '10.0.0.2'],
      believing('10.'),
    )
    expect(chain.map(({ address }) => address)).toEqual(['203.0.113.9', '10.0.0.2'])
    expect(text).toBe('6.6.6.6, 203.0.113.9, 10.0.0.2')
  })

  it('is believed for 32 hops, in a time that its length bounds', () => {
    const many = Array.from({ length: 5000 }, () => '10.0.0.1').join(',')
    expect(chainOf('x-forwarded-for', many)).toHaveLength(32)
    expect(chainOf('x-forwarded-for', ','.repeat(60_000))).toEqual([])
    expect(chainOf('x-forwarded-for', `${'1'.repeat(60_000)},10.0.0.1`)).toEqual(['10.0.0.1'])
  })
})

describe('Forwarded', () => {
  it.each([
    ['for=203.0.113.9', ['203.0.113.9']],
    ['For="203.0.113.9:4711";PROTO=https; by=10.0.0.1', ['203.0.113.9 4711']],
    ['for="[2001:db8:cafe::17]:4711"', ['2001:db8:cafe::17 4711']],
    ['for="\\[2001:db8::1\\]"', ['2001:db8::1']],
    ['for="203.0.113.9:_hidden"', ['203.0.113.9']],
    ['for=6.6.6.6, for=203.0.113.9, for=10.0.0.2', ['203.0.113.9', '10.0.0.2']],
    ['for=203.0.113.9;host="a,b;c", for=10.0.0.2', ['203.0.113.9', '10.0.0.2']],
    ['for=203.0.113.9;ext="\\"\\\\"', ['203.0.113.9']],
    // What a client left open takes in nothing that was added behind it.
    ['for="6.6.6.6, for=203.0.113.9', ['203.0.113.9']],
    ['for="6.6.6.6\\, for="[2001:db8::1]"', ['2001:db8::1']],
    ['for="a, for="203.0.113.9"', ['203.0.113.9']],
    ['for=6.6.6.6, for=203.0.113.9;ext="a,\\"b"', ['203.0.113.9']],
    ['for=unknown', []],
    ['for=_hidden', []],
    ['for="_hidden:4711"', []],
    ['for=203.0.113.9, for=unknown, for=10.0.0.2', ['10.0.0.2']],
    ['proto=https', []],
    ['for=203.0.113.9;for=10.0.0.1', []],
    ['for="2001:db8::1"', []],
    ['for=[2001:db8::1]', []],
    ['for=203.0.113.9:80', []],
    ['for = 203.0.113.9', []],
    ['for=203.0.113.9 proto=https', []],
    ['for=203.0.113.9;=x', []],
    ['203.0.113.9', []],
    ['for="203.0.113.9', []],
    ['', []],
    [`for=203.0.113.9;ext="${'x'.repeat(600)}", for=10.0.0.2`, ['10.0.0.2']],
  ])('%j is %j', (value, chain) => {
    expect(chainOf('Forwarded', value)).toEqual(chain)
  })

  it('tells how the client asked by the element that names the client', () => {
    const value =
      'for=6.6.6.6;proto=http;host=evil, for=203.0.113.9;proto=https;host="shop.example:8443", for=10.0.0.2;proto=http'
    expect(saidIn(['forwarded', value], believing('10.'))).toMatchObject({ proto: 'https', host: 'shop.example:8443' })
  })

  it('is read in a time that its length bounds', () => {
    for (const part of ['"', '\\"', 'for="\\', '",', ';', 'a=b;', '\\', 'for="x",'])
      saidIn(['forwarded', `${part.repeat(60_000)}`], believing('10.'))
  })
})

describe('where both headers came', () => {
  const both = ['Forwarded', 'for=1.1.1.1', 'X-Forwarded-For', '2.2.2.2']
  it.each([
    ['either', '2.2.2.2'],
    ['x-forwarded-for', '2.2.2.2'],
    ['forwarded', '1.1.1.1'],
  ] as const)('%s believes one of them', (header, client) => {
    expect(saidIn(both, believing('10.', header)).chain).toEqual([{ address: client }])
  })

  it.each([
    ['either', ['Forwarded', 'for=1.1.1.1'], [{ address: '1.1.1.1' }]],
    ['x-forwarded-for', ['Forwarded', 'for=1.1.1.1'], []],
    ['forwarded', ['X-Forwarded-For', '2.2.2.2'], []],
  ] as const)('%s with %j is %j', (header, lines, chain) => {
    expect(saidIn(lines, believing('10.', header)).chain).toEqual(chain)
  })
})

it.each([
  ['X-Forwarded-Proto', 'proto', ['https', 'HTTP', 'http, https'], ['https', 'http', 'https']],
  ['X-Forwarded-Proto', 'proto', ['ftp', '', 'https,', 'https http'], [undefined, undefined, undefined, undefined]],
  [
    'X-Forwarded-Host',
    'host',
    ['shop.example', 'evil, shop.example:8443', '[::1]:80'],
    ['shop.example', 'shop.example:8443', '[::1]:80'],
  ],
  ['X-Forwarded-Host', 'host', ['a b', 'a/b', '', 'user@a'], [undefined, undefined, undefined, undefined]],
  ['X-Forwarded-Port', 'port', ['8443', '1, 443'], [8443, 443]],
  ['X-Forwarded-Port', 'port', ['0', '65536', '-1', '4e2', ''], Array(5).fill(undefined)],
] as const)('of %s the last member counts, if it is one: %s %j', (name, key, values, expected) => {
  expect(values.map((value) => saidIn([name, value], believing('10.'))[key])).toEqual(expected)
})

const spoof = [
  ...['X-Forwarded-For', '6.6.6.6', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'evil.example'],
  ...['X-Forwarded-Port', '1', 'Forwarded', 'for=6.6.6.6;proto=https;host=evil.example', 'X-Real-IP', '6.6.6.6'],
  ...[
    'X-Request-Id',
    'theirs',
    'X-Forwarded-Prefix',
    '/evil',
    'X_Forwarded_For',
    '6.6.6.6',
    'X-Forwarded_Host',
    'evil',
  ],
]
const told = (raw: readonly string[]) =>
  Object.fromEntries(
    raw.flatMap((name, i) =>
      i % 2 === 0 && /forwarded|real-ip/i.test(name) ? [[name.toLowerCase(), raw[i + 1]!]] : [],
    ),
  )

describe('a peer that is not believed', () => {
  it.each([
    ['by default', undefined],
    ['as others are', ['10.0.0.0/8']],
    [
      'by a function that throws',
      () => {
        throw new Error('no')
      },
    ],
  ] as const)('says nothing that counts: %s', async (_, trustProxy) => {
    const backend = await answering()
    const { port, one } = await edge([backend], {
      ...(trustProxy === undefined ? {} : { trustProxy: trustProxy as never }),
      forwarded: 'both',
      audit: { sinks: [], logger: keepLogger() },
    })
    await send(port, { headers: spoof })
    const event = await one()
    expect(event.client).toMatchObject({ address: '127.0.0.1', source: 'peer' })
    expect(event.lb).toMatchObject({ client_request_id: 'theirs' })
    const { rawHeaders } = backend.seen[0]!
    expect(told(rawHeaders)).toEqual({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'edge.test',
      'x-forwarded-port': String(port),
      forwarded: 'for=127.0.0.1;host=edge.test;proto=http',
    })
    expect(valuesOf(rawHeaders, 'x-request-id')).toEqual([event.lb.request_id])
    expect(rawHeaders.join()).not.toMatch(/6\.6\.6\.6|evil|theirs/)
  })

  it('does not pass access rules by what it says', async () => {
    const { port, one } = await edge([await answering()], { access: { allow: ['127.0.0.1'], deny: ['6.6.6.6'] } })
    expect(await send(port, { headers: spoof })).toMatchObject({ status: 200 })
    await one()
    const other = recorded({ backends: [], access: { allow: ['6.6.6.6'] } })
    const server = createHttpServer(nodeHandler(other.balancer))
    closeAfterTest(server)
    expect(await send(await listen(server), { headers: spoof })).toMatchObject({ status: 403 })
  })

  it('is told once to the logger where the function throws', async () => {
    const logger = keepLogger()
    const { port, completed } = await edge([await answering()], {
      trustProxy: () => {
        throw new Error('no list')
      },
      audit: { sinks: [], logger },
    })
    await send(port)
    await send(port)
    await completed(2)
    expect(logger.told.filter(({ fields }) => JSON.stringify(fields).includes('no list'))).toHaveLength(1)
  })
})

describe('a peer that is believed', () => {
  it('names the client, for the record, and passes on how it asked', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend], { trustProxy: ['loopback'] })
    await send(port, {
      headers: [
        ...['X-Forwarded-For', '6.6.6.6, 203.0.113.9:4711', 'X-Forwarded-Proto', 'https'],
        ...['X-Forwarded-Host', 'shop.example', 'X-Forwarded-Prefix', '/shop', 'X_Forwarded_For', '6.6.6.6'],
      ],
    })
    const event = await one()
    expect(event.client).toEqual({ address: '203.0.113.9', port: 4711, source: 'forwarded' })
    expect(event.network.peer).toMatchObject({ address: '127.0.0.1' })
    expect(told(backend.seen[0]!.rawHeaders)).toEqual({
      'x-forwarded-for': '6.6.6.6, 203.0.113.9:4711, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-port': '443',
      'x-forwarded-prefix': '/shop',
    })
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'host')).toEqual(['edge.test'])
  })

  it('keeps the chain although Connection names it', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend], { trustProxy: 1 })
    await rawExchange(
      port,
      'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close, X-Forwarded-For, x-forwarded-proto, via, x-request-id\r\n\r\n',
    )
    expect((await one()).client).toEqual({ address: '203.0.113.9', source: 'forwarded' })
    const { rawHeaders } = backend.seen[0]!
    expect(valuesOf(rawHeaders, 'x-forwarded-for')).toEqual(['203.0.113.9, 127.0.0.1'])
    for (const name of ['x-forwarded-proto', 'x-request-id', 'via']) expect(valuesOf(rawHeaders, name)).toHaveLength(1)
  })

  it('that says nothing is the client itself', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend], { trustProxy: ['loopback'] })
    await send(port)
    expect((await one()).client).toMatchObject({ address: '127.0.0.1', source: 'peer' })
    expect(told(backend.seen[0]!.rawHeaders)).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-port': String(port),
    })
  })

  it('is what an update says, while connections stay', async () => {
    const backend = await answering()
    const { port, completed, balancer } = await edge([backend])
    const ops = balancer.as({ id: 't', type: 'user' })
    const headers = ['X-Forwarded-For', '203.0.113.9']
    await send(port, { headers })
    await ops.update({ trustProxy: 1, forwarded: 'none' })
    await send(port, { headers })
    await ops.update({ trustProxy: false, forwarded: 'standard' })
    await send(port, { headers })
    const events = await completed(3)
    expect(events.map(({ client }) => client.address)).toEqual(['127.0.0.1', '203.0.113.9', '127.0.0.1'])
    expect(backend.seen.map(({ rawHeaders }) => Object.keys(told(rawHeaders)).length)).toEqual([4, 0, 1])
  })

  it('decides picks by the client that it names', async () => {
    const backends = await Promise.all([answering(), answering(), answering()])
    const { port, completed } = await edge(backends, {
      strategy: { name: 'consistent-hash', key: 'client' },
      trustProxy: ['127.0.0.1'],
    })
    for (let i = 0; i < 24; i++) await send(port, { headers: ['X-Forwarded-For', `203.0.113.${i % 12}`] })
    const ways = new Map<string, Set<string>>()
    for (const { client, lb } of await completed(24))
      ways.set(client.address, (ways.get(client.address) ?? new Set()).add(lb.attempts[0]!.backend))
    expect([...ways.values()].map(({ size }) => size)).toEqual(Array(12).fill(1))
    expect(new Set([...ways.values()].flatMap((set) => [...set])).size).toBeGreaterThan(1)
  })
})

describe('access rules', () => {
  const forwardedFor = (address: string) => ({ headers: ['X-Forwarded-For', address] })

  it('judge the clients of a proxy that is believed, and do not cut its connections off', async () => {
    const { port, completed, denied } = await edge([await answering()], {
      trustProxy: ['loopback'],
      access: { allow: ['203.0.113.0/24'], deny: ['203.0.113.66', '127.0.0.0/8'] },
    })
    const statuses = []
    for (const address of ['203.0.113.9', '203.0.113.66', '198.51.100.1', '127.0.0.1'])
      statuses.push((await send(port, forwardedFor(address))).status)
    // Itself it is judged too, where it names nobody.
    statuses.push((await send(port)).status)
    expect(statuses).toEqual([200, 403, 403, 403, 403])
    await completed(5)
    expect(
      (await denied(4)).map(({ access, client }) => [access.rule, access.phase, client?.address, client?.source]),
    ).toEqual([
      ['access.deny', 'request', '203.0.113.66', 'forwarded'],
      ['access.allow', 'request', '198.51.100.1', 'forwarded'],
      ['access.deny', 'request', '127.0.0.1', 'forwarded'],
      ['access.deny', 'request', '127.0.0.1', 'peer'],
    ])
  })

  it('cut off connections of others before they are requests', async () => {
    const backend = await answering()
    const record = recorded({ backends: [backend], trustProxy: ['10.0.0.0/8'], access: { allow: ['203.0.113.0/24'] } })
    const server = attach(createHttpServer(nodeHandler(record.balancer)), record.balancer)
    closeAfterTest(server)
    expect(
      await rawExchange(await listen(server), 'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n'),
    ).toBe('')
    expect(await record.denied()).toMatchObject([{ access: { rule: 'access.allow', phase: 'connection' } }])
    expect(record.completions()).toEqual([])
  })
})

describe('a unix socket', () => {
  it.each([
    ['loopback', ['loopback'], '203.0.113.9'],
    ['a number', 1, '203.0.113.9'],
    ['a function', (address: string) => address === '', '203.0.113.9'],
    ['a list without it', ['127.0.0.1', 'uniquelocal'], ''],
  ] as const)('is believed by %s', async (_, trustProxy, client) => {
    const backend = await answering()
    const record = recorded({ backends: [backend], trustProxy: trustProxy as never, forwarded: 'both' })
    const path = join(tempFolder(), 'edge.sock')
    const server = createServer(record.balancer)
    closeAfterTest(server)
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const socket = connect(path)
    onTestFinished(() => void socket.destroy())
    socket.end('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n')
    await new Promise((resolve) => socket.resume().on('close', resolve))
    expect((await record.one()).client.address).toBe(client)
    const { rawHeaders } = backend.seen[0]!
    expect(valuesOf(rawHeaders, 'x-forwarded-for')).toEqual(client === '' ? [] : [client])
    expect(valuesOf(rawHeaders, 'forwarded')).toEqual([
      `${client === '' ? '' : `for=${client}, `}for=unknown;host=a;proto=http`,
    ])
  })
})

describe('forwarded', () => {
  const hop = async (
    forwarded: 'x-forwarded' | 'standard' | 'both' | 'none',
    headers: string[],
    header?: 'forwarded',
  ) => {
    const backend = await answering()
    const { port } = await edge([backend], {
      forwarded,
      trustProxy: { from: ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'], ...(header === undefined ? {} : { header }) },
    })
    await send(port, { headers: ['Host', 'edge.test:81', ...headers] })
    return told(backend.seen[0]!.rawHeaders)
  }
  const ours = 'for=127.0.0.1;host="edge.test:81";proto=http'

  it('standard is RFC 7239, with quotes where they must be', async () => {
    expect(await hop('standard', [])).toEqual({ forwarded: ours })
    expect(
      await hop('standard', ['X-Forwarded-For', '203.0.113.9, 2001:db8::5', 'X-Forwarded-Proto', 'https']),
    ).toEqual({
      forwarded: `for=203.0.113.9;proto=https, for="[2001:db8::5]", ${ours}`,
    })
  })

  it('keeps a chain that came as it is', async () => {
    const came = 'for="_gazonk";ext=1, For="[2001:db8::1]:47";proto=https;host=shop.example,for=10.0.0.3'
    expect(await hop('standard', ['Forwarded', came])).toEqual({ forwarded: `${came}, ${ours}` })
    expect(await hop('both', ['Forwarded', came])).toEqual({
      'x-forwarded-for': '2001:db8::1, 10.0.0.3, 127.0.0.1',
      // The client's element is not behind the walk: what is hidden stops it.
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-port': '443',
      forwarded: `${came}, ${ours}`,
    })
  })

  it('drops what else a client says of itself where the peer writes Forwarded', async () => {
    const backend = await answering()
    const headers = ['X-Real-IP', '6.6.6.6', 'X-Forwarded-Ssl', 'on', 'Forwarded', 'for=1.2.3.4']
    for (const header of ['forwarded', 'either', 'x-forwarded-for'] as const) {
      const { port } = await edge([backend], { trustProxy: { from: ['loopback'], header } })
      await send(port, { headers })
    }
    expect(
      backend.seen.map(({ rawHeaders }) =>
        ['x-real-ip', 'x-forwarded-ssl'].flatMap((name) => valuesOf(rawHeaders, name)),
      ),
    ).toEqual([[], [], ['6.6.6.6', 'on']])
  })

  it('drops the header that is not believed', async () => {
    const headers = ['Forwarded', 'for=1.1.1.1', 'X-Forwarded-For', '2.2.2.2']
    expect(await hop('both', headers)).toMatchObject({
      'x-forwarded-for': '2.2.2.2, 127.0.0.1',
      forwarded: `for=2.2.2.2, ${ours}`,
    })
    expect(await hop('both', headers, 'forwarded')).toMatchObject({
      'x-forwarded-for': '1.1.1.1, 127.0.0.1',
      forwarded: `for=1.1.1.1, ${ours}`,
    })
  })

  it('none says nothing, and passes nothing on', async () => {
    expect(await hop('none', spoof)).toEqual({})
  })

  it('says no host where the client named none', async () => {
    const backend = await answering()
    const { port } = await edge([backend], { forwarded: 'both' })
    await rawExchange(port, 'GET / HTTP/1.0\r\n\r\n')
    expect(told(backend.seen[0]!.rawHeaders)).toEqual({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-port': String(port),
      forwarded: 'for=127.0.0.1;proto=http',
    })
  })
})

describe('the id of a request', () => {
  it.each([
    [
      'a token',
      ['X-Request-Id', 'Root=1-67891233-abcdef012345678912345678'],
      'Root=1-67891233-abcdef012345678912345678',
    ],
    ['128 characters', ['x-request-id', 'a'.repeat(128)], 'a'.repeat(128)],
    ['129 characters', ['x-request-id', 'a'.repeat(129)], undefined],
    ['a space', ['x-request-id', 'a b'], undefined],
    ['two lines', ['x-request-id', 'a', 'x-request-id', 'b'], undefined],
    ['nothing', ['x-request-id', ''], undefined],
    ['bytes', ['x-request-id', 'caf\xe9'], undefined],
    ['an alias', ['x_request_id', 'a'], undefined],
  ])('is taken over from a peer that is believed if it is sane: %s', async (_, headers, taken) => {
    const backend = await answering()
    const { port, one } = await edge([backend], { trustProxy: 1 })
    const reply = await send(port, { headers })
    const { lb } = await one()
    if (taken === undefined) expect(lb.request_id).toMatch(/^[0-9a-f-]{20,}$/)
    else expect([lb.request_id, lb.client_request_id]).toEqual([taken, undefined])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-request-id')).toEqual([lb.request_id])
    expect(valuesOf(reply.rawHeaders, 'x-request-id')).toEqual([lb.request_id])
    expect(backend.seen[0]!.rawHeaders.map((name) => name.toLowerCase())).not.toContain('x_request_id')
  })
})
