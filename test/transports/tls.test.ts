// TLS to backends: what is refused and by what code, what is shown and resumed, and what the record tells of it.
import { createServer, type ServerOptions } from 'node:https'
import { createServer as createNetServer } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BalancerOptions } from '../../src/config.ts'
import { BalancerError } from '../../src/errors.ts'
import { tlsOf, tlsSchema } from '../../src/tls.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge } from '../support/edge.ts'
import { send } from '../support/raw-client.ts'
import { type Authority, authority, type Pair, selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

const names = 'DNS:localhost,IP:127.0.0.1'
let ca: Authority
let other: Authority
let server: Pair
let client: Pair
beforeAll(() => {
  ca = authority()
  other = authority()
  server = ca.issue(names)
  client = ca.issue('DNS:client.test')
})
afterAll(() => {
  ca.remove()
  other.remove()
})

interface Seen {
  readonly authorized: boolean
  readonly servername: string | false | undefined
  readonly protocol: string | null
  readonly alpn: string | false | null
  readonly resumed: boolean
}

/** A server that answers with what it sees of the connection, and closes it if it is told to. */
async function secureBackend(options: ServerOptions & { readonly close?: boolean }) {
  const { close = false, ...rest } = options
  const seen: Seen[] = []
  const https = createServer(rest, (request, response) => {
    const socket = request.socket as TLSSocket & { readonly servername?: string | false }
    const { authorized, servername, alpnProtocol } = socket
    seen.push({
      authorized,
      servername,
      protocol: socket.getProtocol(),
      alpn: alpnProtocol,
      resumed: socket.isSessionReused(),
    })
    if (close) response.setHeader('connection', 'close')
    response.end('secure')
  })
  closeAfterTest(https)
  const port = await listen(https)
  return { port, seen, url: `https://localhost:${port}` }
}

type Tls = NonNullable<BalancerOptions['tls']>

/** What becomes of one request: result and detail of its only attempt, and the status. */
async function outcome(
  url: string,
  tls: Tls = {},
  own?: Tls,
): Promise<[string, string | undefined, number | undefined]> {
  const { port, one } = await edge([{ url, ...(own === undefined ? {} : { options: { tls: own } }) }], { tls })
  await send(port)
  const { lb, http } = await one()
  expect(lb.attempts).toHaveLength(1)
  return [lb.attempts[0]!.result, lb.attempts[0]!.detail, http.response.status_code]
}

describe('a certificate', () => {
  it('that the given authority has signed for the name is taken', async () => {
    const backend = await secureBackend(server)
    expect(await outcome(backend.url, { ca: ca.cert })).toEqual(['ok', undefined, 200])
    expect(backend.seen).toMatchObject([{ servername: 'localhost', alpn: 'http/1.1' }])
  })

  it.each<[string, string, () => Pair, () => string]>([
    ['nobody that is known has signed', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', () => server, () => other.cert],
    ['nobody but itself has signed', 'DEPTH_ZERO_SELF_SIGNED_CERT', () => selfSigned(), () => ca.cert],
    ['is for another name', 'ERR_TLS_CERT_ALTNAME_INVALID', () => ca.issue('DNS:other.test'), () => ca.cert],
    ['has expired', 'CERT_HAS_EXPIRED', () => ca.issue(names, { days: -1 }), () => ca.cert],
  ])('that %s is refused as %s', async (_, code, pair, trusted) => {
    const backend = await secureBackend(pair())
    expect(await outcome(backend.url, { ca: trusted() })).toEqual(['certificate-refused', code, 502])
    expect(backend.seen).toEqual([])
  })

  it('that is for the name, but not for the address that is dialled, is refused', async () => {
    const { port } = await secureBackend(ca.issue('DNS:localhost'))
    const refused = ['certificate-refused', 'ERR_TLS_CERT_ALTNAME_INVALID', 502]
    expect(await outcome(`https://127.0.0.1:${port}`, { ca: ca.cert })).toEqual(refused)
  })

  it('is refused without any option, whatever the process says of that', async () => {
    const backend = await secureBackend(server)
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      expect((await outcome(backend.url))[0]).toBe('certificate-refused')
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
    }
  })

  it('of any kind is taken where that is switched off, for the pool or for a backend', async () => {
    const backend = await secureBackend(selfSigned('elsewhere'))
    expect((await outcome(backend.url, { rejectUnauthorized: false }))[0]).toBe('ok')
    expect((await outcome(backend.url, {}, { rejectUnauthorized: false }))[0]).toBe('ok')
    expect((await outcome(backend.url, { rejectUnauthorized: false }, { rejectUnauthorized: true }))[0]).toBe(
      'certificate-refused',
    )
  })

  it('that was refused is a fault of the backend, which another one makes good', async () => {
    const [bad, good] = [await secureBackend(selfSigned()), await secureBackend(server)]
    const { port, balancer, one } = await edge(
      [bad, good].map(({ url }, i) => ({ url, options: { id: `b${i}` } })),
      { tls: { ca: ca.cert } },
    )
    expect(await send(port, { method: 'POST', body: 'once' })).toMatchObject({ status: 200 })
    expect((await one()).lb.attempts.map(({ result }) => result)).toEqual(['certificate-refused', 'ok'])
    expect(balancer.snapshot().backends.map(({ failures }) => failures)).toEqual([1, 0])
  })
})

describe('a handshake', () => {
  it('that finds no common version fails as such', async () => {
    const backend = await secureBackend({ ...server, maxVersion: 'TLSv1.2' })
    expect((await outcome(backend.url, { ca: ca.cert, minVersion: 'TLSv1.3' })).slice(0, 1)).toEqual(['tls-failed'])
    expect((await outcome(backend.url, { ca: ca.cert }))[0]).toBe('ok')
  })

  it('that is cut off fails as such', async () => {
    const cutting = createNetServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
    closeAfterTest(cutting)
    const port = await listen(cutting)
    expect(await outcome(`https://localhost:${port}`)).toEqual(['tls-failed', 'ECONNRESET', 502])
  })

  it('speaks the ciphers that are asked for', async () => {
    const only = 'ECDHE-ECDSA-AES256-GCM-SHA384'
    const backend = await secureBackend({ ...server, ciphers: only, maxVersion: 'TLSv1.2' })
    expect((await outcome(backend.url, { ca: ca.cert, ciphers: only }))[0]).toBe('ok')
    expect((await outcome(backend.url, { ca: ca.cert, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }))[0]).toBe(
      'tls-failed',
    )
  })

  it('resumes the session of the connection before', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const backend = await secureBackend({ ...server, maxVersion, close: true })
      const { port, completed } = await edge([backend.url], { tls: { ca: ca.cert } })
      for (let i = 0; i < 3; i++) await send(port)
      await completed(3)
      expect(backend.seen.map(({ resumed }) => resumed)).toEqual([false, true, true])
    }
  })

  it('resumes no session that other settings have made', async () => {
    const backend = await secureBackend({ ...server, close: true })
    const { port, balancer, completed } = await edge([backend.url], { tls: { rejectUnauthorized: false } })
    await send(port)
    await balancer.as({ id: 't', type: 'user' }).update({ tls: {} })
    await send(port)
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['ok', 'certificate-refused'])
  })
})

describe('a backend that asks who we are', () => {
  const asking = () => secureBackend({ ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true })

  it('is shown the certificate', async () => {
    const backend = await asking()
    const locked = ca.issue('DNS:client.test', { passphrase: 'open sesame' })
    expect((await outcome(backend.url, { ca: ca.cert, ...client }))[0]).toBe('ok')
    expect(
      (
        await outcome(backend.url, { ca: [Buffer.from(ca.cert)], cert: [client.cert], key: Buffer.from(client.key) })
      )[0],
    ).toBe('ok')
    expect((await outcome(backend.url, { ca: ca.cert, ...locked, passphrase: 'open sesame' }))[0]).toBe('ok')
    expect((await outcome(backend.url, { ca: ca.cert, pfx: ca.bundle(client, 'x'), passphrase: 'x' }))[0]).toBe('ok')
    expect(backend.seen.map(({ authorized }) => authorized)).toEqual([true, true, true, true])
  })

  it('is shown its own before that of the pool', async () => {
    const backend = await asking()
    const stranger = other.issue('DNS:client.test')
    expect((await outcome(backend.url, { ca: ca.cert, ...stranger }, client))[0]).toBe('ok')
    expect((await outcome(backend.url, { ca: ca.cert, ...client }, stranger))[0]).toBe('backend-reset')
    expect(backend.seen).toHaveLength(1)
  })

  it('and is shown nothing refuses, which is told as what it is', async () => {
    const backend = await asking()
    const [result, detail, status] = await outcome(backend.url, { ca: ca.cert })
    expect([result, status]).toEqual(['tls-failed', 502])
    expect(detail).toMatch(/^ERR_SSL_.*ALERT/)
    expect(backend.seen).toEqual([])
  })
})

describe('probes', () => {
  const probing = { active: { intervalMs: 10, timeoutMs: 600_000, fall: 1, rise: 1 } } as const

  it.each([
    ['http', {}],
    ['tcp', { type: 'tcp' }],
  ] as const)('by %s go by the settings of the traffic', async (_, kind) => {
    const backend = await secureBackend({ ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true })
    const { balancer } = await edge([{ url: backend.url, options: { tls: client } }], {
      tls: { ca: ca.cert },
      health: { active: { ...probing.active, ...kind } },
    })
    await until(() => balancer.snapshot().backends[0]!.active === 'healthy')
  })

  it('refuse the certificate that traffic refuses, and follow a change of the settings', async () => {
    const backend = await secureBackend(server)
    const { balancer, events } = await edge([backend.url], { health: probing })
    await until(() => balancer.snapshot().backends[0]!.active === 'unhealthy')
    const changed = events.find((event) => event.event_name === 'backend.health_changed')
    expect(changed).toMatchObject({ backend: { last_error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' } })
    await balancer.as({ id: 't', type: 'user' }).update({ tls: { ca: ca.cert } })
    await until(() => balancer.snapshot().backends[0]!.active === 'healthy')
  })
})

it('a change of the settings holds for connections from then on, and those that were idle are closed', async () => {
  const backend = await secureBackend(server)
  const { port, balancer, completed } = await edge([backend.url], { tls: { ca: ca.cert } })
  const ops = balancer.as({ id: 't', type: 'user' })
  await send(port)
  await ops.update({ tls: {} })
  await send(port)
  await ops.update({ backends: [{ url: backend.url, tls: { ca: Buffer.from(ca.cert) } }] })
  await send(port)
  await ops.setWeight(balancer.snapshot().backends[0]!.id, 5)
  await send(port)
  const attempts = (await completed(4)).map(({ lb }) => lb.attempts[0]!)
  expect(attempts.map(({ result, reused }) => [result, reused])).toEqual([
    ['ok', false],
    ['certificate-refused', undefined],
    ['ok', false],
    ['ok', true],
  ])
})

describe('the record', () => {
  it('tells certificates by fingerprint, and keys by nothing but their length, wherever they stand', async () => {
    const { balancer, events } = watched({
      backends: [{ url: 'https://a.test', tls: { ...client, minVersion: 'TLSv1.3' } }],
    })
    const ops = balancer.as({ id: 't', type: 'user' })
    const locked = ca.issue('DNS:client.test', { passphrase: 'open sesame' })
    await ops.update({ tls: { ca: ca.cert, ...locked, passphrase: 'open sesame' } })
    await ops.update({ tls: { pfx: ca.bundle(client, 'open sesame'), passphrase: 'open sesame' } })
    await ops.addBackend({ url: 'https://b.test', tls: { ...client, rejectUnauthorized: false } })
    const wrong = {
      key: client.key,
      tls: { Key: client.key, key: client.cert, cert: client.key, passphrase: 'open sesame' },
    }
    await expect(ops.update(wrong as object)).rejects.toThrow(BalancerError)
    await expect(ops.addBackend({ url: 'https://c.test', tls: client.key as never })).rejects.toThrow(BalancerError)
    const text = JSON.stringify(events)
    expect(text).toMatch(/"cert":\[\{"fingerprint":"sha256:[0-9a-f]{32}","length":\d+\}\],"key":\[\{"length":\d+\}\]/)
    expect(text).toContain('"rejectUnauthorized":false')
    expect(text).not.toMatch(/BEGIN|open sesame/)
    for (const secret of [client.key, locked.key, client.cert]) {
      const line = secret.split('\n')[1]!
      expect(text).not.toContain(line)
    }
    const changes = events.filter((event) => event.event_name === 'config.changed')
    expect(changes).toHaveLength(3)
  })

  it('has the same for the same, so that a change of nothing is none', async () => {
    const { balancer } = watched({ backends: ['https://a.test'], tls: { ca: ca.cert } })
    const ops = balancer.as({ id: 't', type: 'user' })
    expect(await ops.update({ tls: { ca: [Buffer.from(ca.cert)] } })).toBe(1)
    expect(await ops.update({ tls: { ca: other.cert } })).toBe(2)
  })

  it('is what settings are when they are printed, or become JSON', () => {
    const settings = tlsSchema.parse({ ...client, ciphers: 'HIGH' })
    for (const text of [inspect(settings, { depth: 9 }), JSON.stringify({ settings })]) {
      expect(text).toContain('HIGH')
      expect(text).toContain('sha256:')
      expect(text).not.toContain('BEGIN')
    }
  })
})

it('settings of a backend replace those of the pool by the member, and an identity as a whole', () => {
  const pool = tlsSchema.parse({ ca: ca.cert, minVersion: 'TLSv1.3', pfx: ca.bundle(client, 'x'), passphrase: 'x' })
  const merged = tlsOf(pool, tlsSchema.parse({ ...client, minVersion: 'TLSv1.2' }))
  expect({ ...merged }).toEqual({ ca: [ca.cert], minVersion: 'TLSv1.2', cert: [client.cert], key: [client.key] })
})

describe('settings that cannot work are refused at once', () => {
  it('for a backend that is not reached by TLS', () => {
    const backends = [{ url: 'http://a.test', tls: { ca: ca.cert } }]
    expect(() => watched({ backends })).toThrow('backends[0].tls: not with an http:// URL')
  })

  it.each<[string, () => Tls, string]>([
    ['a key without its certificate', () => ({ key: client.key }), 'tls.cert'],
    ['a certificate without its key', () => ({ cert: client.cert }), 'tls.key'],
    ['a key of another certificate', () => ({ key: client.key, cert: server.cert }), 'tls.key'],
    ['a key that needs a passphrase', () => ca.issue('DNS:x', { passphrase: 'open' }), 'tls.key'],
    ['another passphrase', () => ({ ...ca.issue('DNS:x', { passphrase: 'open' }), passphrase: 'shut' }), 'tls.key'],
    ['a passphrase for nothing', () => ({ passphrase: 'open' }), 'tls.passphrase'],
    ['an authority that is no certificate', () => ({ ca: '-----BEGIN CERTIFICATE-----\nno\n' }), 'tls.ca'],
    ['an authority that is a path', () => ({ ca: '/etc/ssl/ca.pem' }), 'tls.ca'],
    ['what is no PKCS #12', () => ({ pfx: Buffer.from('no') }), 'tls.pfx'],
    ['two identities', () => ({ ...client, pfx: ca.bundle(client, 'x'), passphrase: 'x' }), 'tls.pfx'],
    ['no such cipher', () => ({ ciphers: 'ROT13' }), 'tls.ciphers'],
    ['a version that is too old', () => ({ minVersion: 'TLSv1' as never }), 'tls.minVersion'],
  ])('%s', (_, tls, path) => {
    const refusal = (): unknown => {
      try {
        return watched({ backends: ['https://a.test'], tls: tls() })
      } catch (error) {
        return error
      }
    }
    const error = refusal()
    expect(error).toBeInstanceOf(BalancerError)
    expect((error as BalancerError).problems.map((problem) => problem.path)).toEqual([path])
    expect(String(error)).not.toMatch(/PRIVATE|shut/)
  })
})
