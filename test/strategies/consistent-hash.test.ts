// consistent-hash: one owner for each key, few moves, exact bounds.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { type BackendState, newBackendState } from '../../src/backend.ts'
import { createBalancer } from '../../src/balancer.ts'
import { seededRandom } from '../../src/random.ts'
import type { PickRequest } from '../../src/request.ts'
import { Members } from '../../src/strategies/hash/members.ts'
import { murmur3 } from '../../src/strategies/hash/murmur3.ts'
import type { Draft, Tracer } from '../../src/strategy.ts'
import { algorithms, foreignMoves, hashing, ownersOf } from '../support/keys.ts'
import { backendOf, countOf, draftOf, statesOf, type TestDraft } from '../support/pool.ts'

const at = (path: string, more: Partial<TestDraft> = {}): TestDraft => ({ ...draftOf(), request: { path }, ...more })
const among = (path: string, admitted: readonly BackendState[]): TestDraft => ({
  ...draftOf(seededRandom(1), admitted),
  request: { path },
})

const golden = {
  rendezvous: 'b0 b1 b1 b0 b2 b1 b1 b2 b3 b0 b2 b0 b2 b2 b2 b2 b1 b3 b1 b2 b1 b1 b1 b2',
  maglev: 'b2 b2 b0 b2 b2 b2 b3 b0 b1 b2 b3 b1 b2 b2 b1 b1 b2 b1 b2 b0 b2 b2 b2 b2',
  ring: 'b3 b3 b1 b1 b0 b0 b1 b2 b2 b1 b1 b3 b1 b0 b2 b2 b1 b2 b0 b1 b3 b2 b3 b1',
}

describe.each(algorithms)('%s', (algorithm) => {
  it('has owners that never change: golden values', () => {
    expect(ownersOf(statesOf(1, 2, 3, 1), 24, { algorithm }).join(' ')).toBe(golden[algorithm])
  })

  it('gives a key to one backend, and the order of the pool does not count', () => {
    const states = statesOf(1, 5, 2, 3)
    const before = ownersOf(states, 500, { algorithm })
    expect(ownersOf(states, 500, { algorithm })).toEqual(before)
    expect(ownersOf([...states].reverse(), 500, { algorithm })).toEqual(before)
  })

  it('says hash-owner, and hash-next when the owner may not be taken', () => {
    const states = statesOf(1, 1, 1, 1)
    const strategy = hashing({ algorithm })
    strategy.rebuild?.(states)
    const seconds = new Set<BackendState>()
    for (let i = 0; i < 200; i++) {
      const draft = at(`/k${i}`)
      const owner = strategy.pick(states, draft)!
      expect(draft.reason).toBe('hash-owner')
      const rest = among(
        `/k${i}`,
        states.filter((state) => state !== owner),
      )
      const next = strategy.pick(states, rest)!
      expect([next === owner, rest.reason]).toEqual([false, 'hash-next'])
      const kept = among(`/k${i}`, [owner, next])
      expect([strategy.pick(states, kept), kept.reason]).toEqual([owner, 'hash-owner'])
      const last = among(`/k${i}`, [next])
      expect([strategy.pick(states, last), last.reason]).toEqual([next, 'only-eligible'])
      if (owner === states[0]) seconds.add(next)
    }
    expect(seconds.size).toBe(3)
  })

  // 6,000 keys or more of one owner: the standard error of a third is below 0.7 % of all.
  it('spreads what one cannot take over all others by weight: 30,000 keys, each within 3 % of all', () => {
    const states = statesOf(2, 3, 2, 1)
    const strategy = hashing({ algorithm, ...(algorithm === 'ring' ? { points: 4096 } : {}) })
    strategy.rebuild?.(states)
    const nexts: string[] = []
    for (let i = 0; i < 30_000; i++)
      if (strategy.pick(states, at(`/k${i}`)) === states[0])
        nexts.push(strategy.pick(states, among(`/k${i}`, states.slice(1)))!.config.id)
    expect(nexts.length).toBeGreaterThan(6000)
    const counts = countOf(nexts)
    for (const [i, weight] of [3, 2, 1].entries())
      expect(Math.abs(counts.get(`b${i + 1}`)! / nexts.length - weight / 6)).toBeLessThan(0.03)
  })

  // 40,000 keys: the standard error of a share is at most 0.25 %; ring: points of the lightest, 4,096, err by 1.6 % of a share.
  it('has shares that follow the weights: 40,000 keys, each within 1.5 % of all', () => {
    const weights = [1, 10, 4, 5]
    const owners = ownersOf(statesOf(...weights), 40_000, {
      algorithm,
      ...(algorithm === 'ring' ? { points: 4096 } : {}),
    })
    const counts = countOf(owners)
    weights.forEach((weight, i) => {
      expect(Math.abs(counts.get(`b${i}`)! / 40_000 - weight / 20)).toBeLessThan(0.015)
    })
  })

  it('draws by weight where there is no key: 20,000 picks, each share within 2 % of all', () => {
    const states = statesOf(1, 2, 5)
    const random = seededRandom(11)
    const strategy = hashing({ algorithm, key: { cookie: 'sid' }, ...(algorithm === 'ring' ? { points: 4096 } : {}) })
    strategy.rebuild?.(states)
    const counts = countOf(Array.from({ length: 20_000 }, () => strategy.pick(states, draftOf(random))!.config.id))
    for (const [i, weight] of [1, 2, 5].entries())
      expect(Math.abs(counts.get(`b${i}`)! / 20_000 - weight / 8)).toBeLessThan(0.02)
  })

  it('goes by the hash of a record in the place of the key', () => {
    const states = statesOf(1, 2, 3)
    const strategy = hashing({ algorithm })
    strategy.rebuild?.(states)
    for (let i = 0; i < 200; i++) {
      const hashes: number[] = []
      const compared: [string, number][] = []
      const trace: Tracer = {
        hashed: (hash) => hashes.push(hash),
        compared: ({ config }, score) => compared.push([config.id, score]),
      }
      const picked = strategy.pick(states, at(`/k${i}`, { trace } as Partial<Draft>))
      expect(hashes).toEqual([murmur3(`/k${i}`, 0) >>> 0])
      expect(strategy.pick(states, at('/other', { hash: hashes[0] } as Partial<Draft>))).toBe(picked)
      const [owner, next] = compared
      expect([owner![0], compared.length]).toEqual([picked!.config.id, 2])
      expect(compared.every(([, score]) => Number.isInteger(score) && score >= 0)).toBe(true)
      const without = states.filter((state) => state !== picked)
      expect(strategy.pick(states, among(`/k${i}`, without))!.config.id).toBe(next![0])
    }
  })

  it('does nothing costly when neither ids nor weights have changed, and gives out the present objects', () => {
    const states = statesOf(1, 2, 3)
    const strategy = hashing({ algorithm })
    strategy.rebuild?.(states)
    const mixes = vi.spyOn(Members.prototype, 'mixed')
    const again = statesOf(1, 2, 3).reverse()
    strategy.rebuild?.(again)
    expect(mixes).not.toHaveBeenCalled()
    expect(again).toContain(strategy.pick(again, at('/')))
    mixes.mockRestore()
    const changed = statesOf(1, 2, 4)
    strategy.rebuild?.(changed)
    const keys = Array.from({ length: 300 }, (_, i) => strategy.pick(changed, at(`/k${i}`))!.config.id)
    expect(keys).toEqual(ownersOf(changed, 300, { algorithm }))
  })

  it('can be asked for another pick by its own key function', () => {
    const states = statesOf(1, 1, 1)
    let inner: BackendState | undefined
    const options = { algorithm, boundedLoad: 150 }
    const strategy = hashing({
      ...options,
      key: (request: { path: string }) => {
        if (request.path === '/outer') inner = strategy.pick(states, among('/inner', [states[2]!]))
        return request.path
      },
    })
    strategy.rebuild?.(states)
    const expected = hashing(options)
    expected.rebuild?.(states)
    expect(strategy.pick(states, at('/outer'))).toBe(expected.pick(states, at('/outer')))
    expect(inner).toBe(states[2])
  })
})

describe('the key', () => {
  const states = statesOf(1, 1, 1)
  const hashOf = (key: unknown, request: PickRequest): number | undefined => {
    const strategy = hashing({ key })
    strategy.rebuild?.(states)
    let hash: number | undefined
    const trace: Tracer = {
      compared: () => undefined,
      hashed: (given) => {
        hash = given
      },
    }
    const draws: number[] = []
    const random = { uint32: () => draws.push(7) }
    expect(states).toContain(strategy.pick(states, { ...draftOf(), request, trace, random } as Draft))
    expect(draws).toHaveLength(hash === undefined ? 1 : 0)
    return hash
  }

  it.each<[unknown, PickRequest, string]>([
    ['path', { path: '/a/b?x=1' }, '/a/b'],
    ['path', { path: '/%zz%e2%28' }, '/%zz%e2%28'],
    ['client', { client: { address: '10.0.0.1' } }, '10.0.0.1'],
    [{ header: 'X-User' }, { headers: { 'x-user': 'ann' } }, 'ann'],
    [{ header: 'x-user' }, { headers: { 'x-user': ['ann', 'bob'] } }, 'ann'],
    [{ header: 'x-user' }, { headers: { 'x-user': 'a\ud800' } }, 'a\ufffd'],
    [{ cookie: 'sid' }, { headers: { cookie: 'a=0; sid=1; b=2' } }, '1'],
    [{ cookie: 'sid' }, { headers: { cookie: `${'a;'.repeat(32_768)}sid=1` } }, '1'],
    [{ query: 'id' }, { path: '/a?x=1&id=%zz&id=8' }, '%zz'],
    [{ query: 'id' }, { path: `/a?${'a&'.repeat(32_768)}id=7` }, '7'],
    [({ path }: PickRequest) => path?.split('/')[1], { path: '/tenant/x' }, 'tenant'],
  ])('%j is read, and hashed', (key, request, text) => {
    expect(hashOf(key, request)).toBe(murmur3(text, 0) >>> 0)
  })

  it.each<[unknown, PickRequest]>([
    ['path', {}],
    ['path', { path: '' }],
    ['client', {}],
    ['client', { client: { address: '' } }],
    [{ header: 'x-user' }, { headers: {} }],
    [{ header: 'constructor' }, { headers: {} }],
    [{ header: 'x-user' }, { headers: { 'x-user': [] } }],
    [{ cookie: 'sid' }, { headers: { cookie: ' ;;; = ; sid; SID=1; sid=' } }],
    [{ query: 'id' }, { path: '/a?id=' }],
    [() => undefined, {}],
    [() => '', {}],
  ])('%j is absent: a draw takes its place, and no hash is told', (key, request) => {
    expect(hashOf(key, request)).toBeUndefined()
  })

  it('whatever text a client sends is picked for', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 })
    const header = fc.oneof(text, fc.array(text, { maxLength: 3 }), fc.constant(undefined))
    fc.assert(
      fc.property(text, header, header, (path, x, cookie) => {
        for (const key of ['path', 'client', { header: 'x' }, { cookie: 'x' }, { query: 'x' }])
          hashOf(key, { path: `/?${path}`, headers: { x, cookie }, client: { address: path } })
      }),
    )
  })
})

describe.each(['rendezvous', 'ring'] as const)('%s moves no key between two others', (algorithm) => {
  it.each([2, 3, 7, 20])('when one of %i leaves or comes back, weights mixed: 5,000 keys', (n) => {
    const states = statesOf(...Array.from({ length: n }, (_, i) => [1, 10, 3, 65, 2][i % 5]!))
    const before = ownersOf(states, 5000, { algorithm })
    for (const gone of new Set([states[0]!, states[n >> 1]!, states[n - 1]!])) {
      const without = states.filter((state) => state !== gone)
      const after = ownersOf(without, 5000, { algorithm })
      expect(foreignMoves(before, after, gone.config.id)).toBe(0)
      expect(after).not.toContain(gone.config.id)
    }
  })

  it('when one starts slowly, at any step: it only gains keys', () => {
    const states = statesOf(3, 1, 7, 2)
    const [, joiner] = states
    let before = ownersOf([states[0]!, states[2]!, states[3]!], 5000, { algorithm })
    for (const ramp of [1, 50, 100, 333, 500, 999, 1000]) {
      joiner!.weight = joiner!.config.weight * ramp
      const after = ownersOf(states, 5000, { algorithm })
      expect(before.filter((owner, i) => owner !== after[i] && after[i] !== 'b1')).toEqual([])
      before = after
    }
    expect(before).toContain('b1')
  })
})

describe('bounded load', () => {
  const weights = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 65_535 })), {
    minLength: 2,
    maxLength: 8,
  })
  // Few paths, so that some backends get much more than their share.
  const step = fc.record({
    path: fc.nat(3),
    ends: fc.nat(2),
    mask: fc.nat(255),
    ramp: fc.integer({ min: 1, max: 1000 }),
  })

  it.each(algorithms)('is kept after every pick, also where not all are admitted, with %s', (algorithm) => {
    fc.assert(
      fc.property(
        weights,
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 101, max: 300 }),
        (all, steps, percent) => {
          const states = statesOf(...all)
          const strategy = hashing({
            boundedLoad: percent,
            algorithm,
            ...(algorithm === 'maglev' ? { tableSize: 251 } : algorithm === 'ring' ? { points: 1 } : {}),
          })
          strategy.rebuild?.(states)
          steps.forEach(({ path, ends, mask, ramp }, i) => {
            if (i % 16 === 15) {
              states[mask % states.length]!.weight = all[mask % states.length]! * ramp
              strategy.rebuild?.([...states])
            }
            const restricted = i % 3 === 0
            const admitted = restricted ? states.filter((_, k) => ((mask >> k) & 1) === 1) : states
            const before = BigInt(admitted.reduce((sum, { inFlight }) => sum + inFlight, 0))
            const weight = BigInt(admitted.reduce((sum, one) => sum + one.weight, 0))
            const picked = strategy.pick(states, restricted ? among(`/${path}`, admitted) : at(`/${path}`))
            expect(picked === undefined || admitted.includes(picked)).toBe(true)
            expect(picked === undefined).toBe(admitted.length === 0)
            if (picked === undefined) return
            picked.inFlight++
            const over = BigInt(percent) * BigInt(picked.weight) * (before + 1n)
            const bound = (over + 100n * weight - 1n) / (100n * weight)
            expect(BigInt(picked.inFlight)).toBeLessThanOrEqual(bound)
            for (const state of states.slice(0, ends)) if (state.inFlight > 0) state.inFlight--
          })
        },
      ),
      { numRuns: 150 },
    )
  })

  it('keeps the owner while it is below, and spreads one hot key over the others without a cascade', () => {
    const states = statesOf(1, 1, 1, 1)
    const strategy = hashing({ boundedLoad: 125 })
    strategy.rebuild?.(states)
    const reasons: string[] = []
    for (let i = 0; i < 400; i++) {
      const draft = at('/hot')
      strategy.pick(states, draft)!.inFlight++
      reasons.push(draft.reason)
    }
    expect(reasons[0]).toBe('hash-owner')
    expect(Math.max(...states.map(({ inFlight }) => inFlight))).toBeLessThanOrEqual(125)
    expect(reasons.filter((reason) => reason === 'hash-owner')).toHaveLength(125)
  })

  it('counts no handicap', () => {
    const states = statesOf(1, 1)
    const strategy = hashing({ boundedLoad: 125 })
    strategy.rebuild?.(states)
    const owner = strategy.pick(states, at('/x'))!
    owner.handicap = 100
    expect(strategy.pick(states, at('/x'))).toBe(owner)
  })

  it('is repeated from what was in flight, for one pick', () => {
    const states = statesOf(1, 1, 1)
    const strategy = hashing({ boundedLoad: 125 })
    strategy.rebuild?.(states)
    const owner = strategy.pick(states, at('/x'))!
    owner.inFlight = 9
    const memory = strategy.memory!(states)
    const next = strategy.pick(states, at('/x'))!
    expect(next).not.toBe(owner)
    owner.inFlight = 0
    strategy.recall!(states, memory)
    expect(strategy.pick(states, at('/x'))).toBe(next)
    expect(strategy.pick(states, at('/x'))).toBe(owner)
  })

  it('is nothing to remember without one', () => {
    expect(hashing().memory).toBeUndefined()
  })
})

describe('as configuration', () => {
  const faultsOf = (strategy: unknown): unknown => {
    try {
      createBalancer({ backends: ['http://a'], strategy: strategy as 'round-robin' })
      return undefined
    } catch (error) {
      const { problems } = error as { problems: { path: string; message: string }[] }
      return problems.map(({ path, message }) => `${path}: ${message}`)
    }
  }
  const keys = "expected 'client', 'path', { header }, { cookie }, { query } or a function"

  it.each<[object | string, string[]]>([
    ['consistent-hash', [`strategy.key: ${keys}, got nothing`]],
    [{}, [`strategy.key: ${keys}, got nothing`]],
    [{ key: 'host' }, [`strategy.key: ${keys}, got a text of 4 characters`]],
    [{ key: { header: 'a b' } }, ['strategy.key.header: expected a name of token characters, got "a b"']],
    [
      { key: 'path', algorithm: 'jump' },
      ['strategy.algorithm: expected "rendezvous" or "maglev" or "ring", got "jump"'],
    ],
    [
      { key: 'path', algorithm: 'ring', tableSize: 101 },
      ['strategy.tableSize: belongs to the algorithm "maglev", and this is "ring"'],
    ],
    [{ key: 'path', points: 5 }, ['strategy.points: belongs to the algorithm "ring", and this is "rendezvous"']],
    [
      { key: 'path', algorithm: 'maglev', tableSize: 65_536 },
      ['strategy.tableSize: expected a prime number, got 65536'],
    ],
    [
      { key: 'path', algorithm: 'maglev', tableSize: 5_000_021 },
      ['strategy.tableSize: expected at most 5000011, got 5000021'],
    ],
    [{ key: 'path', boundedLoad: 100 }, ['strategy.boundedLoad: expected at least 101, got 100']],
    [{ key: 'path', boundedLoad: 1.25 }, ['strategy.boundedLoad: expected an integer, got 1.25']],
    [{ key: 'path', spice: 1 }, ['strategy.spice: unknown option']],
  ])('%j is refused with its place', (options, faults) => {
    const strategy = typeof options === 'string' ? options : { name: 'consistent-hash', ...options }
    expect(faultsOf(strategy)).toEqual(faults)
  })

  it('sends a user to one backend through a balancer', () => {
    const balancer = createBalancer({
      backends: ['http://a', 'http://b', 'http://c'],
      strategy: { name: 'consistent-hash', key: { header: 'X-User' }, algorithm: 'maglev', tableSize: 1009 },
    })
    const pick = (user: string): string | undefined => balancer.pick({ headers: { 'x-user': user } }).backend?.id
    const users = Array.from({ length: 50 }, (_, i) => `user-${i}`)
    const first = users.map(pick)
    expect(users.map(pick)).toEqual(first)
    expect(new Set(first).size).toBe(3)
    expect(balancer.pick({ headers: { 'x-user': 'ann' } }).decision).toMatchObject({
      reason: 'hash-owner',
      strategy: 'consistent-hash',
    })
  })

  it('a key function that throws costs no request, and is told', () => {
    const told: string[] = []
    const balancer = createBalancer({
      backends: ['http://a', 'http://b'],
      strategy: {
        name: 'consistent-hash',
        key: () => {
          throw new Error('no tenant')
        },
      },
      audit: {
        sinks: [],
        logger: {
          warn: (_, text) => told.push(String(text)),
          error: (fields, text) => told.push(`${JSON.stringify(fields)} ${text}`),
        },
      },
    })
    expect(balancer.pick().decision).toMatchObject({ backend: 'a:80', reason: 'custom' })
    expect(told.join()).toContain('no tenant')
  })
})

it('two backends of the same id are one in hashing: url, place and history do not count', () => {
  const one = [newBackendState(backendOf('x', 1, 80)), newBackendState(backendOf('y', 1, 80))]
  const two = [newBackendState(backendOf('y', 1, 81)), newBackendState(backendOf('x', 1, 82))]
  one[0]!.picks = 1000
  expect(ownersOf(one, 300)).toEqual(ownersOf(two, 300))
})
