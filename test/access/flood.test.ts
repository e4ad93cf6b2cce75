// Floods of denials: told one by one up to a rate, then by number, and none is lost.
import { describe, expect, it } from 'vitest'
import { Flood } from '../../src/access/flood.ts'
import type { EventFields } from '../../src/events.ts'
import { fakeClock } from '../support/fake-clock.ts'

type Denied = EventFields<'access.denied'>

const denial = (address: string, rule = 'access.deny'): Denied => ({
  access: { rule, phase: 'connection' },
  client: { address, source: 'peer' },
  network: { peer: { address } },
})

function flooded() {
  const clock = fakeClock()
  const told: Denied[] = []
  const flood = new Flood(clock, (denied) => told.push(denied))
  const stoodFor = (): number => told.reduce((sum, { access }) => sum + (access.count ?? 1), 0)
  return { clock, told, flood, stoodFor }
}

describe('denials', () => {
  it('are told one by one at an ordinary rate', () => {
    const { flood, told, clock } = flooded()
    for (let second = 0; second < 5; second++) {
      for (let i = 0; i < 100; i++) flood.deny(denial('192.0.2.1'))
      clock.advance(1000)
    }
    expect(told).toHaveLength(500)
    expect(told.every(({ access }) => access.count === undefined)).toBe(true)
  })

  it('beyond it become one line a second that says for how many it stands', () => {
    const { flood, told, clock, stoodFor } = flooded()
    for (let i = 0; i < 5000; i++) flood.deny(denial('192.0.2.1'))
    expect(told).toHaveLength(100)
    clock.advance(1000)
    expect(told).toHaveLength(101)
    expect(told[100]).toMatchObject({ access: { count: 4900 }, client: { address: '192.0.2.1' } })
    expect(stoodFor()).toBe(5000)
  })

  it('of another client, rule or phase are not held back by a flood', () => {
    const { flood, told } = flooded()
    for (let i = 0; i < 1000; i++) flood.deny(denial('192.0.2.1'))
    flood.deny(denial('192.0.2.2'))
    flood.deny(denial('192.0.2.1', 'malformed'))
    expect(told).toHaveLength(102)
  })

  it('of more clients than can be told apart are counted together, without an address', () => {
    const { flood, told, clock, stoodFor } = flooded()
    for (let i = 0; i < 12_000; i++) flood.deny(denial(`2001:db8::${i.toString(16)}`))
    clock.advance(1000)
    expect(stoodFor()).toBe(12_000)
    expect(told.length).toBeLessThan(10_110)
    expect(told[told.length - 1]!.client).toBeUndefined()
  })

  it('that are held back are told at the end', () => {
    const { flood, stoodFor } = flooded()
    for (let i = 0; i < 250; i++) flood.deny(denial('192.0.2.1'))
    flood.flush()
    expect(stoodFor()).toBe(250)
  })
})
