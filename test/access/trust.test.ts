// Trust: who is believed, by each form of the option, and who is not.
import { describe, expect, it } from 'vitest'
import { compileTrust, type TrustFunction, trustSchema } from '../../src/access/trust.ts'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerError } from '../../src/errors.ts'

const trust = (given: unknown, faults: unknown[] = []): TrustFunction => {
  const check = compileTrust(trustSchema.parse(given), (error) => faults.push(error))
  return check ?? (() => false)
}

it('believes nobody by default', () => {
  expect(compileTrust(trustSchema.parse(false), () => undefined)).toBeUndefined()
  expect(compileTrust(trustSchema.parse([]), () => undefined)?.('127.0.0.1', 0)).toBe(false)
})

describe.each([
  ['loopback', ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', ''], ['128.0.0.1', '::2', '10.0.0.1']],
  ['linklocal', ['169.254.1.1', 'fe80::1', 'fe80::1%eth0'], ['169.255.0.1', 'fec0::1', '']],
  [
    'uniquelocal',
    ['10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fdff::1', '::ffff:10.0.0.1'],
    ['172.32.0.1', '11.0.0.1', '192.169.0.1', 'fe00::1', '127.0.0.1', ''],
  ],
  ['203.0.113.0/24', ['203.0.113.7'], ['203.0.114.7', '', 'unknown']],
  ['2001:db8::7', ['2001:db8::7', '2001:0db8:0::0007'], ['2001:db8::8']],
])('the entry %s', (entry, inside, outside) => {
  it('holds exactly what is in it, however far away', () => {
    const trusts = trust([entry])
    for (const hop of [0, 7]) {
      expect(inside.filter((address) => !trusts(address, hop))).toEqual([])
      expect(outside.filter((address) => trusts(address, hop))).toEqual([])
    }
  })
})

it('a number believes so many hops, whatever their address', () => {
  const trusts = trust(2)
  expect(['203.0.113.1', '::1', ''].map((address) => [0, 1, 2, 3].map((hop) => trusts(address, hop)))).toEqual(
    Array(3).fill([true, true, false, false]),
  )
})

it('a function believes by true alone, and what it throws is told and believes nobody', () => {
  const faults: unknown[] = []
  const answers: Record<string, unknown> = { a: true, b: 1, c: 'yes', d: Promise.resolve(true), e: false, f: undefined }
  const trusts = trust((address: string, hop: number) => {
    if (address === 'x') throw new Error(`no ${hop}`)
    return answers[address]
  }, faults)
  expect([...Object.keys(answers), 'x'].filter((address) => trusts(address, 3))).toEqual(['a'])
  expect(faults).toEqual([new Error('no 3')])
})

it('rejects what is neither, with its place', () => {
  const problems = (trustProxy: unknown) => {
    try {
      createBalancer({ backends: [], trustProxy: trustProxy as never })
    } catch (error) {
      return (error as BalancerError).problems.map(({ path, message }) => `${path}: ${message}`)
    }
    return expect.unreachable()
  }
  const one = (text: string) =>
    `expected an IP address, a CIDR range, or loopback, linklocal, uniquelocal, got ${JSON.stringify(text)}`
  expect(problems(['loopback', '10.0.0.0/33', 'localhost', '__proto__'])).toEqual([
    `trustProxy[1]: ${one('10.0.0.0/33')}`,
    `trustProxy[2]: ${one('localhost')}`,
    `trustProxy[3]: ${one('__proto__')}`,
  ])
  const form =
    'trustProxy: expected false, a list of addresses and ranges, a number of proxies from 1 to 32, a function, or an object with `from`'
  for (const given of [true, 'loopback', null]) expect(problems(given)[0]).toContain(form)
  for (const given of [0, -1, 33, 1.5])
    expect(problems(given)).toEqual([expect.stringMatching(/^trustProxy: expected /)])
  expect(problems({ from: ['::1'], header: 'x-real-ip' })).toEqual([
    expect.stringContaining('trustProxy.header: expected "either" or "x-forwarded-for" or "forwarded"'),
  ])
  expect(problems({ from: ['nobody'] })).toEqual([
    expect.stringContaining('trustProxy.from[0]: expected an IP address'),
  ])
})
