// Secrets of the configuration: none is in any line, and yet a change of one is seen.
import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { createAudit } from '../src/audit/create.ts'
import { createBalancer } from '../src/balancer.ts'
import type { BalancerOptions, PoolChanges } from '../src/config.ts'
import { withoutUserinfo } from '../src/secret.ts'
import { fileSink } from '../src/sinks/file.ts'
import { httpSink } from '../src/sinks/http.ts'
import { createWitness } from '../src/witness/index.ts'
import { tempFolder } from './support/folder.ts'
import { collect, keepLogger } from './support/sinks.ts'
import { authority } from './support/tls.ts'
import { until } from './support/until.ts'

const secret = 'Hunter2-correct-horse'
const other = 'Hunter3-correct-horse'
const key = 'a key of more than sixteen bytes'
const ca = authority()
afterAll(() => ca.remove())

function balanced(options: Partial<BalancerOptions> = {}, redact: object = {}) {
  const kept = collect()
  const balancer = createBalancer({
    backends: ['http://127.0.0.1:1'],
    ...options,
    audit: { sinks: [kept], redact, logger: keepLogger() },
  })
  onTestFinished(() => void balancer.close({ deadlineMs: 0 }))
  const ops = balancer.as({ id: 'test', type: 'user' })
  /** Every line, once all are delivered. */
  const lines = async (): Promise<string> => {
    await balancer.close({ deadlineMs: 60_000 })
    return kept.lines().join('\n')
  }
  return { balancer, ops, kept, lines }
}

/** Each place of the configuration that holds a secret, with that secret in it. */
const places: Readonly<Record<string, (secret: string) => PoolChanges>> = {
  'the secret of a cookie': (secret) => ({ affinity: { cookie: { secret } } }),
  'one of several secrets of a cookie': (secret) => ({ affinity: { cookie: { secret: ['x'.repeat(16), secret] } } }),
  'a header of probes': (secret) => ({ health: { active: { headers: { authorization: `Bearer ${secret}` } } } }),
  'the path of probes': (secret) => ({ health: { active: { path: `/healthz?token=${secret}` } } }),
  'a header that is set': (secret) => ({ headers: { request: [{ set: 'x-token', to: secret }] } }),
  'a header that is added to responses': (secret) => ({ headers: { response: [{ add: 'x-token', to: secret }] } }),
  'a header in which text is replaced': (secret) => ({
    headers: { request: [{ replace: 'x-token', match: secret, with: `not ${secret}` }] },
  }),
  'a header in which an expression is replaced': (secret) => ({
    headers: { request: [{ replace: 'x-token', match: new RegExp(secret), with: '' }] },
  }),
  'the key of TLS': () => ({ tls: ca.issue('DNS:client.test') }),
  'the passphrase of TLS': (secret) => ({ tls: { pfx: ca.bundle(identity, secret), passphrase: secret } }),
}
const identity = ca.issue('DNS:client.test')

/** What cannot be a configuration, with a secret in it. */
const wrong: Readonly<Record<string, object>> = {
  'an unknown option': { affinity: { cookie: { secrets: secret } } },
  'an unknown option with members': { credentials: { user: 'u', value: secret } },
  'a secret that is too short': { affinity: { cookie: { secret: secret.slice(0, 15) } } },
  'a password in the URL of a backend': { backends: [`http://u:${secret}@127.0.0.1:1`] },
  'a password in what is no URL': { backends: [`http://u:${secret}@a b`] },
  'a token in the URL of a backend': { backends: [{ url: `http://127.0.0.1:1/?token=${secret}` }] },
  'a header that cannot be sent': { headers: { request: [{ set: 'x-token', to: `${secret}\u0000` }] } },
  'a header of a probe that cannot be sent': { health: { active: { headers: { authorization: `${secret}\u0000` } } } },
  'a passphrase that does not fit': { tls: { ...identity, passphrase: [secret] } },
  'a key that is none': { tls: { key: secret, cert: identity.cert } },
  'a key in the place of the settings': { tls: secret },
  'a text in the place of a cookie': { affinity: { cookie: secret } },
  'a text in the place of an affinity': { affinity: secret },
  'a misspelt secret': { affinity: { cookie: { secrt: secret } } },
  'a list under a misspelt secret': { affinity: { cookie: { sercet: [secret] } } },
  'headers under a misspelt name': { health: { active: { heders: { 'x-vault': secret } } } },
  'a text in the place of headers': { health: { active: { headers: secret } } },
  'a query of what is no path': { health: { active: { path: `healthz?token=${secret}` } } },
  'a strategy that there is none of': { strategy: { name: 'none', header: secret } },
  'a source that there is none of': { discovery: [{ type: 'none', servers: [secret] }] },
  'a version of TLS that is none': { tls: { minVersion: secret } },
  'an api key of nothing': { apiKey: secret, password: secret, token: [secret], authorization: { of: secret } },
}

const hidden = [secret.slice(0, 15), other.slice(0, 15)]
const expectNone = (lines: string): void => {
  for (const text of hidden)
    for (const form of [text, encodeURIComponent(text), Buffer.from(text).toString('base64').slice(0, 16)])
      expect(lines).not.toContain(form)
  expect(lines).not.toContain('BEGIN ')
  for (const line of identity.key.split('\n').slice(1, -2)) expect(lines).not.toContain(line)
}

describe.each(Object.entries(places))('%s', (_, changesOf) => {
  it('is in no line, but its change is, and in the hash', async () => {
    const start = balanced(changesOf(secret) as Partial<BalancerOptions>)
    const { hash } = start.balancer.snapshot()
    expect(await start.ops.update(changesOf(other))).toBe(2)
    expect(await start.ops.update(changesOf(secret))).toBe(3)
    const lines = await start.lines()
    expectNone(lines)
    expect(lines).not.toContain('hmac')
    const changed = start.kept.events('config.changed')
    expect(changed).toHaveLength(2)
    expect(changed[0].config.changes.length).toBeGreaterThan(0)
    const hashes = new Set([hash, ...changed.map(({ config }) => config.hash)])
    expect(hashes.size).toBeGreaterThanOrEqual(2)
  })

  it('is told by an HMAC where there is a key', async () => {
    const { lines, ops } = balanced(changesOf(secret) as Partial<BalancerOptions>, { key })
    await ops.update(changesOf(other))
    const text = await lines()
    expectNone(text)
    expect(text).toMatch(/"hmac":"[0-9a-f]{8}:[0-9a-f]{32}"/)
  })
})

describe.each(Object.entries(wrong))('%s', (_, changes) => {
  it('is in no line of what was refused', async () => {
    const { ops, lines, kept } = balanced()
    const error = await ops.update(changes as PoolChanges).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'config-invalid' })
    const backends = (changes as { backends?: unknown[] }).backends
    if (backends !== undefined) await ops.addBackend(backends[0] as never).catch(() => undefined)
    expectNone(await lines())
    expectNone(String((error as Error).message))
    expect(kept.events('config.rejected').length).toBeGreaterThan(0)
  })
})

describe('the hash of a configuration', () => {
  const hashOf = (options: object, redact: object = {}): string =>
    balanced(options as Partial<BalancerOptions>, redact).balancer.snapshot().hash
  const cookie = (secret: string) => ({ affinity: { cookie: { secret } } })

  it('is equal on nodes with equal secrets, and another one where a secret of the same length differs', () => {
    expect(hashOf(cookie(secret))).toBe(hashOf(cookie(secret)))
    expect(hashOf(cookie(secret))).not.toBe(hashOf(cookie(other)))
    expect(hashOf(cookie(secret), { key })).toBe(hashOf(cookie(secret), { key }))
    expect(hashOf(cookie(secret), { key })).not.toBe(hashOf(cookie(other), { key }))
    const probes = (headers: object) => ({ health: { active: { headers } } })
    expect(hashOf(probes({ a: 'one', b: 'two' }))).toBe(hashOf(probes({ b: 'two', a: 'one' })))
    expect(hashOf(probes({ a: 'one', b: 'two' }))).not.toBe(hashOf(probes({ a: 'two', b: 'one' })))
  })

  it('has what records have, so that equal values can be matched under a key', async () => {
    const { lines } = balanced(cookie(secret), { key })
    expect(await lines()).toContain(createHmac('sha256', key).update(secret).digest('hex').slice(0, 32))
  })
})

it('what an operator says beside a configuration is told likewise', async () => {
  const { ops, lines, kept } = balanced()
  const refusals = [
    ops.setWeight(`http://u:${secret}@127.0.0.1:1`, 1),
    ops.setWeight('127.0.0.1:1', secret as never),
    ops.drain('127.0.0.1:1', { deadlineMs: secret as never }),
    ops.drain('127.0.0.1:1', { mesage: secret } as never),
    ops.disable(`${secret} ` as never),
    ops.remove({ id: secret } as never),
    ops.addBackend({ id: `${secret} `, url: 'http://127.0.0.1:2' }),
    ops.update(secret as never),
  ]
  for (const refusal of refusals) {
    const error = await refusal.then(
      () => undefined,
      (error: unknown) => error as Error,
    )
    expect(error).toBeInstanceOf(Error)
    if (refusal !== refusals[6]) expectNone(error!.message)
  }
  expectNone(await lines())
  const rejected = kept.events('config.rejected').map(({ config }) => config.attempted)
  expect(rejected).toHaveLength(refusals.length)
  expect(rejected[0]).toEqual({ type: 'set-weight', arguments: { id: { length: 42 }, weight: 1 } })
  expect(rejected[1]).toEqual({
    type: 'set-weight',
    backend: '127.0.0.1:1',
    arguments: { id: '127.0.0.1:1', weight: { length: 21 } },
  })
})

it('a change that is refused though it is valid is told whole', async () => {
  const { ops, kept, lines } = balanced({ control: { authorize: () => false } })
  await expect(ops.update({ strategy: 'first', timeouts: { headerMs: 5 } })).rejects.toThrow()
  await lines()
  const [{ config }] = kept.events('config.rejected')
  expect(config.attempted.arguments).toEqual({ strategy: 'first', timeouts: { headerMs: 5 } })
})

it('a number out of its range is told, and a text that is no number is not', async () => {
  const { ops, kept, lines } = balanced()
  await ops.setWeight('127.0.0.1:1', -1).catch(() => undefined)
  await ops.update({ strategy: 'fastest', access: { deny: ['10.0.0.0/99'] } } as never).catch(() => undefined)
  await lines()
  const [weighed, updated] = kept.events('config.rejected')
  expect(weighed.config).toMatchObject({ attempted: { arguments: { weight: -1 } } })
  expect(weighed.config.detail).toContain('expected at least 0, got -1')
  expect(updated.config.attempted.arguments).toEqual({ strategy: { length: 7 }, access: { deny: [{ length: 11 }] } })
  expect(updated.config.detail).toContain('a strategy object, got a text of 7 characters')
  expect(updated.config.detail).toContain('a CIDR range, got a text of 11 characters')
})

const faulty: Readonly<Record<string, () => unknown>> = {
  'a key in the place of the options of one': () => fileSink({ dir: 'd', key: identity.key as never }),
  'a key in the place of its path': () => fileSink({ dir: 'd', key: { file: identity.key } }),
  'a key of a trail in the place of its path': () => createAudit({ key: { file: identity.key } }),
  'a key of a witness in the place of its path': () =>
    createWitness({ dir: 'd', tokens: ['t'.repeat(16)], key: { file: identity.key } }),
  'a token in the place of a list': () => createWitness({ dir: 'd', tokens: secret as never }),
  'a text in the place of headers': () => httpSink({ url: 'http://h', headers: secret as never }),
  'a text in the place of a header of probes': () =>
    createBalancer({ backends: [], health: { active: { headers: secret as never } } }),
  'a text in the place of redaction': () => createAudit({ redact: secret as never }),
  'a short key of redaction': () => createAudit({ redact: { key: secret.slice(0, 15) } }),
  'a number as a secret': () => createBalancer({ backends: [], affinity: { cookie: { secret: 12_345_678 as never } } }),
}
it.each(Object.entries(faulty))('%s is in no message', (_, make) => {
  const faultOf = (): Error => {
    try {
      make()
    } catch (error) {
      return error as Error
    }
    throw new Error('expected a refusal')
  }
  const { message } = faultOf()
  expect(message).toContain('what was given is not valid')
  expectNone(message)
  expect(message).not.toContain('12345678')
})

it('what discovery reads tells no password', async () => {
  const path = join(tempFolder(), 'backends.json')
  writeFileSync(
    path,
    JSON.stringify([
      `http://u:${secret}@127.0.0.1:1`,
      { url: `http://u:${secret}@a b` },
      { url: secret },
      { tls: secret },
      5,
    ]),
  )
  const { lines, kept } = balanced({ discovery: { type: 'file', path } })
  await until(() => kept.events('discovery.failed').length > 0)
  expectNone(await lines())
})

describe('user and password of a URL', () => {
  it.each([
    ['http://u:p@h/', 'http://h/'],
    ['see http://u:p@h, or ftp://u@h', 'see http://h, or ftp://h'],
    ['http://u:p@h:1/a@b', 'http://h:1/a@b'],
    ['http://a@b:c@h/', 'http://h/'],
    ['http://h/a@b?c@d', 'http://h/a@b?c@d'],
    ['http%3a%2f%2fu%3ap%40h%2fa%40b', 'http%3a%2f%2fh%2fa%40b'],
    ['mail a@b', 'mail a@b'],
    ['redis:\\\\u:p@h', 'redis:\\\\h'],
  ])('are taken out of %s', (text, expected) => {
    expect(withoutUserinfo(text)).toBe(expected)
  })

  it('are looked for in linear time', () => {
    for (const text of [
      '://'.repeat(50_000),
      `@${'a'.repeat(200_000)}`,
      `@${'://a'.repeat(50_000)}`,
      `@${'%25'.repeat(50_000)}`,
    ])
      expect(withoutUserinfo(text).length).toBeGreaterThan(0)
  })
})
