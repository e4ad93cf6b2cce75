// Address lists: CIDR ranges of both families, and what is no range.
import { describe, expect, it } from 'vitest'
import { accessSchema, compileAccess } from '../../src/access/addresses.ts'
import { createBalancer } from '../../src/balancer.ts'
import { BalancerError } from '../../src/errors.ts'
import { peerOf } from '../../src/request.ts'

const check = (lists: { allow?: string[]; deny?: string[] }) => compileAccess(accessSchema.parse(lists))

it('serves everyone without lists', () => {
  for (const address of ['1.2.3.4', '::1', 'fe80::1%eth0', '']) expect(check({})(address)).toBeUndefined()
})

describe.each([
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'], ['9.255.255.255', '11.0.0.0', '::a00:1', '::1']],
  ['192.168.7.9/16', ['192.168.0.0', '192.168.255.255'], ['192.167.255.255', '192.169.0.0']],
  ['203.0.113.7', ['203.0.113.7', '::ffff:203.0.113.7'], ['203.0.113.6', '203.0.113.8']],
  ['198.51.100.4/31', ['198.51.100.4', '198.51.100.5'], ['198.51.100.3', '198.51.100.6']],
  ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], ['2001:db8::1']],
  ['2001:db8::/32', ['2001:db8::', '2001:db8:ffff::1'], ['2001:db9::', '1.2.3.4']],
  ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::2', '127.0.0.1']],
  ['fe80::/10', ['fe80::1', 'febf::1', 'fe80::1%eth0'], ['fec0::1']],
  ['::ffff:10.0.0.0/104', ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.0']],
])('the range %s', (range, inside, outside) => {
  it('holds exactly what is in it', () => {
    const denies = check({ deny: [range] })
    const allows = check({ allow: [range] })
    for (const address of inside)
      expect([address, denies(address), allows(address)]).toEqual([address, 'access.deny', undefined])
    for (const address of outside)
      expect([address, denies(address), allows(address)]).toEqual([address, undefined, 'access.allow'])
  })
})

it('deny goes before allow', () => {
  const denies = check({ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16', '10.2.3.4'] })
  expect(denies('10.3.0.1')).toBeUndefined()
  expect(denies('10.1.0.1')).toBe('access.deny')
  expect(denies('10.2.3.4')).toBe('access.deny')
  expect(denies('11.0.0.1')).toBe('access.allow')
})

it('a peer without an address passes unless there is an allow list', () => {
  expect(check({ deny: ['0.0.0.0/0', '::/0'] })('')).toBeUndefined()
  expect(check({ allow: ['0.0.0.0/0', '::/0'] })('')).toBe('access.allow')
})

it('a mapped peer is told, and matched, as the IPv4 address that it is', () => {
  expect(peerOf({ remoteAddress: '::ffff:10.1.2.3', remotePort: 9 })).toEqual({ address: '10.1.2.3', port: 9 })
  expect(peerOf({ remoteAddress: '::ffff:zz' })).toEqual({ address: '::ffff:zz' })
  expect(peerOf({})).toEqual({ address: '' })
})

it('rejects what is no range, with its place', () => {
  const bad = [
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '10.0.0/8',
    'localhost',
    '',
    ' ::1',
    '1.2.3.4/x',
  ]
  try {
    createBalancer({ backends: ['http://a'], access: { allow: ['::1'], deny: ['::1', ...bad, 5 as never] } })
    expect.unreachable()
  } catch (error) {
    const { problems } = error as BalancerError
    expect(problems).toEqual([
      ...bad.map((range, i) => ({
        path: `access.deny[${i + 1}]`,
        message: `expected an IP address or a CIDR range, got ${range === '' ? 'empty text' : JSON.stringify(range)}`,
      })),
      { path: `access.deny[${bad.length + 1}]`, message: 'expected text, got 5' },
    ])
    expect(error).toBeInstanceOf(BalancerError)
  }
})
