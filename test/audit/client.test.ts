// Addresses of clients: as they are, without their last part, or by a pseudonym whose key can be destroyed.
import { createHmac } from 'node:crypto'
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ClientConfig, createClientMask, truncated } from '../../src/audit/client.ts'
import { createAudit } from '../../src/audit/create.ts'
import { createRedactor, redactSchema } from '../../src/audit/redact.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

const day = 86_400_000
const key = 'a key of more than sixteen bytes'
const november = Date.UTC(2026, 10, 15)

function masked(config: ClientConfig, start = november) {
  const clock = fakeClock(start)
  const faults: unknown[] = []
  const mask = createClientMask(config, clock, (error) => faults.push(error))!
  return { clock, faults, mask }
}
const withKeys = (keys: (month: string) => string | Promise<string>, start?: number) =>
  masked({ pseudonym: { keys } }, start)
const hmac = (address: string, by = key): string => createHmac('sha256', by).update(address).digest('hex').slice(0, 32)

describe('truncate', () => {
  it.each([
    ['203.0.113.9', '203.0.113.0'],
    ['::ffff:203.0.113.9', '203.0.113.0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::'],
    ['2001:0DB8:0001::6', '2001:db8:1::'],
    ['2001:db8::6', '2001:db8::'],
    ['::1', '::'],
    ['fe80::1%eth0', 'fe80::'],
    ['64:ff9b::203.0.113.9', '64:ff9b::'],
    ['1:2::7:203.0.113.9', '1:2::'],
    // 6to4: the address of IPv4 within it is cut as any other.
    ['2002:cb00:7109::1', '2002:cb00:7100::'],
    ['', ''],
    ['not an address', '[14]'],
  ])('%s', (address, told) => {
    const { mask } = masked('truncate')
    expect(mask.address(address)).toBe(told)
    if (address !== '') expect(truncated(address)).toBe(told)
  })
})

describe('a pseudonym', () => {
  it('is the same for the same address within a month, and another one in the next', () => {
    const months: string[] = []
    const { clock, mask } = withKeys((month) => {
      months.push(month)
      return `${key} ${month}`
    })
    const first = mask.address('203.0.113.9')
    expect(first).toBe(`p:2026-11:${hmac('203.0.113.9', `${key} 2026-11`)}`)
    expect(mask.address('203.0.113.9')).toBe(first)
    expect(mask.address('203.0.113.8')).not.toBe(first)
    clock.advance(14 * day)
    mask.address('203.0.113.9')
    expect(months).toEqual(['2026-11'])
    // A day before it is needed.
    clock.advance(day)
    mask.address('203.0.113.9')
    expect(months).toEqual(['2026-11', '2026-12'])
    clock.advance(day)
    expect(mask.address('203.0.113.9')).toBe(`p:2026-12:${hmac('203.0.113.9', `${key} 2026-12`)}`)
    expect(months).toHaveLength(2)
    // A clock that steps back asks for the month that it is then.
    clock.step(-20 * day)
    expect(mask.address('203.0.113.9')).toBe(first)
  })

  it('is missing while its key is: the address is told by its length, and the fault', async () => {
    let fails = true
    const { clock, faults, mask } = withKeys(async () => {
      if (fails) throw new Error('the KMS is away')
      return key
    })
    expect(mask.address('203.0.113.9')).toBe('[11]')
    await expect(mask.ready()).rejects.toThrow(/redact.client.pseudonym.keys: no key for 2026-11: the KMS is away/)
    expect(faults).toHaveLength(1)
    expect(mask.address('203.0.113.9')).toBe('[11]')
    fails = false
    clock.advance(10_000)
    mask.address('203.0.113.9')
    await mask.ready()
    expect(mask.address('203.0.113.9')).toBe(`p:2026-11:${hmac('203.0.113.9')}`)
    expect(faults).toHaveLength(1)
  })

  it.each([
    ['that is too short', () => 'short'],
    ['that is none', () => undefined as never],
    [
      'from a function that throws',
      () => {
        throw new Error('no')
      },
    ],
  ])('has no key %s', async (_, keys) => {
    const { faults, mask } = withKeys(keys)
    await expect(mask.ready()).rejects.toMatchObject({ code: 'config-invalid' })
    expect(faults.length).toBeGreaterThan(0)
    expect(mask.address('203.0.113.9')).toBe('[11]')
  })

  it('has its key in a folder, which processes share: whoever comes first makes it', async () => {
    const dir = join(tempFolder(), 'keys')
    const all = Array.from({ length: 8 }, () => masked({ pseudonym: { keys: dir } }))
    await Promise.all(all.map(({ mask }) => mask.ready()))
    const told = new Set(all.map(({ mask }) => mask.address('203.0.113.9')))
    expect(told.size).toBe(1)
    expect(readdirSync(dir)).toEqual(['2026-11'])
    expect(statSync(join(dir, '2026-11')).mode & 0o777).toBe(0o600)
    expect([...told][0]).toBe(`p:2026-11:${hmac('203.0.113.9', readFileSync(join(dir, '2026-11'), 'utf8').trim())}`)
    // Who destroys the key has nobody find out again whose it was.
    rmSync(join(dir, '2026-11'))
    const later = masked({ pseudonym: { keys: dir } })
    await later.mask.ready()
    expect(told).not.toContain(later.mask.address('203.0.113.9'))
  })

  it('leaves no second name of a key, by which one that was destroyed would be there still', async () => {
    const dir = tempFolder()
    const path = (name: string) => join(dir, name)
    await masked({ pseudonym: { keys: dir } }).mask.ready()
    // As a crash leaves it between the two names of a key, and before the first.
    linkSync(path('2026-11'), path('2026-11.54e053bc68b341c7'))
    writeFileSync(path('2026-10.0000000000000000'), 'x')
    const others = ['2026-11.bak', '2026-11.54e053bc68b341c7.bak', 'notes.54e053bc68b341c7']
    for (const name of others) writeFileSync(path(name), 'x')
    rmSync(path('2026-11'))
    const again = masked({ pseudonym: { keys: dir } })
    await again.mask.ready()
    expect(readdirSync(dir).sort()).toEqual(['2026-11', ...others].sort())
    // And when the month after gets its key.
    linkSync(path('2026-11'), path('2026-11.54e053bc68b341c7'))
    again.clock.advance(15 * day)
    again.mask.address('203.0.113.9')
    await until(() => readdirSync(dir).includes('2026-12'))
    await until(() => readdirSync(dir).length === 2 + others.length)
    expect(readdirSync(dir)).not.toContain('2026-11.54e053bc68b341c7')
  })

  it('has no key where one cannot be removed', async () => {
    const dir = tempFolder()
    mkdirSync(join(dir, '2026-10.0000000000000000'))
    await expect(masked({ pseudonym: { keys: dir } }).mask.ready()).rejects.toThrow(/directory/i)
  })

  it('has no key in a folder that cannot be one', async () => {
    const file = join(tempFolder(), 'file')
    writeFileSync(file, '')
    await expect(masked({ pseudonym: { keys: file } }).mask.ready()).rejects.toThrow(/ENOTDIR|EEXIST/)
    const dir = tempFolder()
    mkdirSync(join(dir, '2026-11'))
    await expect(masked({ pseudonym: { keys: dir } }).mask.ready()).rejects.toThrow(/EISDIR/)
  })

  it('is waited for by `ready`, and told of once where it fails', async () => {
    const logger = keepLogger()
    const good = createAudit({ redact: { client: { pseudonym: { keys: async () => key } } }, logger })
    await good.ready()
    await good.close()
    const bad = createAudit({ redact: { client: { pseudonym: { keys: () => 'short' } } }, logger })
    await expect(bad.ready()).rejects.toMatchObject({ code: 'config-invalid' })
    const told: string[] = []
    bad.on('*', (event) => void told.push(JSON.stringify(event)))
    for (let i = 0; i < 3; i++) bad.record('access.denied', { rule: 'login', client: { address: '203.0.113.9' } })
    await until(() => told.length >= 3)
    expect(told.join()).not.toContain('203.0.113.9')
    await bad.close()
    expect(logger.told.filter((line) => JSON.stringify(line).includes('redact.client'))).toHaveLength(1)
  })
})

describe('an event', () => {
  const client = { address: '203.0.113.9', port: 9, source: 'peer' as const }
  const network = { peer: { address: '203.0.113.9', port: 9 } }
  const event = (option: object, fields: object, name = 'access.denied') =>
    createRedactor(redactSchema.parse(option), { clock: fakeClock(november), onFault: () => undefined }).event(
      name as 'access.denied',
      { access: { rule: 'x', phase: 'request' }, ...fields } as never,
    )

  it('has the address of the client as the option says, and that of the peer where it is the client', () => {
    expect(event({}, { client, network })).toMatchObject({ client, network })
    expect(event({ client: 'truncate' }, { client, network })).toMatchObject({
      client: { ...client, address: '203.0.113.0' },
      network: { peer: { address: '203.0.113.0', port: 9 } },
    })
    const proxy = { peer: { address: '10.0.0.7', port: 1 } }
    const forwarded = { ...client, source: 'forwarded' }
    expect(event({ client: 'truncate' }, { client: forwarded, network: proxy })).toMatchObject({
      client: { address: '203.0.113.0', source: 'forwarded' },
      network: proxy,
    })
    // What was handed in is somebody else's.
    expect([client.address, network.peer.address]).toEqual(['203.0.113.9', '203.0.113.9'])
  })

  it('has no address in a header either, not even an HMAC of it', () => {
    const options = { headers: { keep: 'all' }, key }
    const raw = ['X-Forwarded-For', '203.0.113.9', 'Forwarded', 'for=203.0.113.9', 'X-Real-IP', '203.0.113.9']
    const told = (more: object) =>
      createRedactor(redactSchema.parse({ ...options, ...more }), {
        clock: fakeClock(),
        onFault: () => undefined,
      })
        .headers(raw)
        .values.toJSON()
    expect(told({})).toMatchObject({ 'x-real-ip': ['203.0.113.9'] })
    expect(told({ client: 'truncate' })).toEqual({
      forwarded: { length: 15 },
      'x-forwarded-for': { length: 11 },
      'x-real-ip': { length: 11 },
    })
  })

  it.each([
    'ali-cdn-real-ip',
    'cf-connecting-ip',
    'cf-connecting-ipv6',
    'cf-pseudo-ipv4',
    'client-ip',
    'cloudfront-viewer-address',
    'fastly-client-ip',
    'fly-client-ip',
    'incap-client-ip',
    'true-client-ip',
    'wl-proxy-client-ip',
    'x-appengine-user-ip',
    'x-azure-clientip',
    'x-azure-socketip',
    'x-client-ip',
    'x-cluster-client-ip',
    'x-envoy-external-address',
    'x-forwarded',
    'x-original-forwarded-for',
    'x-remote-addr',
    'x_real_ip',
  ])('has the length alone of %s, whatever it holds', (name) => {
    const options = { headers: { keep: 'all' }, key, client: { pseudonym: { keys: () => key } } }
    const { headers } = createRedactor(redactSchema.parse(options), { clock: fakeClock(), onFault: () => undefined })
    expect(headers([name, 'cb007109']).values.toJSON()).toEqual({ [name]: { length: 8 } })
  })

  it.each(['x-forwarded-host', 'x-forwarded-proto', 'x-zip', 'gzip', 'x-relationship', 'x-addressee'])(
    'has the value of %s, where all are kept',
    (name) => {
      const options = redactSchema.parse({ headers: { keep: 'all' }, client: 'truncate' })
      const { headers } = createRedactor(options, { clock: fakeClock(), onFault: () => undefined })
      expect(headers([name, 'v']).values.toJSON()).toEqual({ [name]: ['v'] })
    },
  )

  it.each([
    '203.0.113.9',
    '203.0.113.9:46532',
    '10.0.0.1, 203.0.113.9',
    '2001:db8::1',
    'for="[2001:db8::1]:443"',
    'a; ip=203.0.113.9',
  ])('has no HMAC of %s, wherever it stands', (value) => {
    const told = (client: object | string) => {
      const options = { headers: { keep: ['cookie', 'x-from'] }, path: ['/of/:whom'], key, client }
      const redactor = createRedactor(redactSchema.parse(options), { clock: fakeClock(), onFault: () => undefined })
      const raw = ['x-origin', value, 'x-twice', 'a', 'x-twice', value, 'cookie', `c=${value.replace(/;.*/, '')}`]
      const { path_params, query } = redactor.url(`/of/${encodeURIComponent(value)}?whom=${encodeURIComponent(value)}`)
      return JSON.stringify([redactor.headers(raw).values, path_params, query])
    }
    expect(told('full').match(/[0-9a-f]{8}:[0-9a-f]{32}/g)).toHaveLength(5)
    const kept = told({ pseudonym: { keys: () => key } }).match(/[0-9a-f]{8}:[0-9a-f]{32}/g)
    // Of the cookie `a` is left, which is no address.
    expect(kept ?? []).toHaveLength(value.startsWith('a;') ? 1 : 0)
  })
})
