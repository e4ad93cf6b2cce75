// The waiting room: order, deadlines, bounds, and that nobody is forgotten.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type BackendState, hasRoom } from '../../src/backend.ts'
import { type Guest, WaitingRoom } from '../../src/routing/waiting.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { statesOf } from '../support/pool.ts'

interface Place {
  readonly leave: () => void
  readonly said: string[]
}

/** A room before so many seats, and who sits. */
function roomFor(seats: number, config = { max: 10, timeoutMs: 1000 }) {
  const clock = fakeClock()
  const seated: string[] = []
  const free = { seats }
  const room = new WaitingRoom({ config, clock, hasRoom: () => free.seats > 0 })
  const sit = (name: string): boolean => {
    if (free.seats === 0) return false
    free.seats--
    seated.push(name)
    return true
  }
  const enter = (name: string, suits: () => boolean = () => true): Place => {
    const said: string[] = []
    const guest: Guest = { seat: () => suits() && sit(name), fail: (result) => void said.push(result) }
    return { leave: room.enter(guest), said }
  }
  const release = (): void => {
    free.seats++
    room.wake()
  }
  return { room, clock, seated, sit, enter, release }
}
const turn = (): Promise<void> => Promise.resolve()

it('seats those who wait in the order in which they came', async () => {
  const { enter, release, seated } = roomFor(0)
  for (const name of ['a', 'b', 'c']) enter(name)
  release()
  await turn()
  expect(seated).toEqual(['a'])
  release()
  release()
  await turn()
  expect(seated).toEqual(['a', 'b', 'c'])
})

it('lets no newcomer overtake: what came free goes to those who wait first', () => {
  const { room, enter, release, sit, seated } = roomFor(0)
  enter('early')
  release()
  room.offer()
  expect(sit('late')).toBe(false)
  expect(seated).toEqual(['early'])
})

it('keeps the place of one whom what came free does not suit, who holds up nobody', async () => {
  const { enter, release, seated, room } = roomFor(0)
  let suits = false
  enter('picky', () => suits)
  enter('next')
  enter('last')
  release()
  await turn()
  expect(seated).toEqual(['next'])
  suits = true
  release()
  await turn()
  expect(seated).toEqual(['next', 'picky'])
  expect(room.size).toBe(1)
})

it('sends away at its own deadline who has found nobody', async () => {
  const { enter, release, clock, seated, room } = roomFor(0)
  const first = enter('first')
  clock.advance(600)
  const second = enter('second')
  clock.advance(399)
  expect(first.said).toEqual([])
  clock.advance(1)
  expect([first.said, second.said]).toEqual([['capacity-timeout'], []])
  release()
  await turn()
  clock.advance(5000)
  expect([first.said, second.said, seated]).toEqual([['capacity-timeout'], [], ['second']])
  expect([room.size, clock.timers]).toEqual([0, 0])
})

it('seats one at whose deadline room comes free in the same turn', () => {
  const { enter, release, clock, seated } = roomFor(0)
  clock.after(1000, release)
  const guest = enter('just in time')
  clock.advance(1000)
  expect([guest.said, seated]).toEqual([[], ['just in time']])
})

it('holds so many and no more; one who leaves makes place', () => {
  const { enter, room, clock } = roomFor(0, { max: 2, timeoutMs: 1000 })
  const places = ['a', 'b', 'c'].map((name) => enter(name))
  expect(places.map(({ said }) => said)).toEqual([[], [], ['capacity-full']])
  places[0]!.leave()
  expect(enter('d').said).toEqual([])
  expect(enter('e').said).toEqual(['capacity-full'])
  expect([room.size, clock.timers]).toEqual([2, 2])
  room.configure({ max: 0, timeoutMs: 1000 })
  expect([enter('f').said, room.size]).toEqual([['capacity-full'], 2])
})

it('refuses all who wait when it closes', () => {
  const { enter, room, clock } = roomFor(0)
  const places = ['a', 'b'].map((name) => enter(name))
  room.close()
  expect(places.map(({ said }) => said)).toEqual([['closing'], ['closing']])
  expect([room.size, clock.timers]).toEqual([0, 0])
})

it('does not ask those whom the room that is there does not suit, for each thing that comes free elsewhere', async () => {
  const [stable, canary] = statesOf(1, 1).map((backend) => {
    backend.config = { ...backend.config, maxInFlight: 1 }
    return backend
  }) as [BackendState, BackendState]
  stable.inFlight = 1
  let asked = 0
  const room = new WaitingRoom({ config: { max: 10, timeoutMs: 1000 }, clock: fakeClock(), hasRoom: () => true })
  const seat = (): boolean => {
    asked++
    if (!hasRoom(stable)) return false
    stable.inFlight++
    return true
  }
  for (let i = 0; i < 10; i++) room.enter({ seat, fail: () => undefined })
  stable.inFlight--
  room.wake(stable)
  await turn()
  // The canary has room all the time: it was offered to each before.
  expect([hasRoom(canary), asked, room.size]).toEqual([true, 1, 9])
})

/** Backends with limits that change, and requests of which each can go to some of the backends only. */
class Model {
  readonly clock: FakeClock = fakeClock()
  readonly backends: readonly BackendState[]
  readonly running: number[][]
  readonly waiting = new Map<number, { may: readonly number[]; leave: () => void }>()
  readonly room: WaitingRoom
  readonly over: number[] = []
  came = 0

  constructor(limits: readonly number[], max: number) {
    this.backends = statesOf(...limits.map(() => 1))
    this.running = limits.map(() => [])
    const someFree = (): boolean => this.backends.some(hasRoom)
    this.room = new WaitingRoom({ config: { max, timeoutMs: 100 }, clock: this.clock, hasRoom: someFree })
    for (const [backend, to] of limits.entries()) this.limit(backend, to)
  }

  isFree(backend: number): boolean {
    return hasRoom(this.backends[backend]!)
  }

  arrive(may: readonly number[]): void {
    const id = this.came++
    this.room.offer()
    if (this.pick(id, may)) return
    this.waiting.set(id, { may, leave: () => undefined })
    const leave = this.room.enter({
      seat: () => {
        // First come, first served: nobody who could go where this one goes has waited longer.
        const [backend] = may.filter((one) => this.isFree(one))
        if (backend === undefined) return false
        for (const [other, { may: its }] of this.waiting) if (other < id) expect(its).not.toContain(backend)
        this.waiting.delete(id)
        return this.pick(id, may)
      },
      fail: () => {
        this.waiting.delete(id)
        this.over.push(id)
      },
    })
    const entry = this.waiting.get(id)
    if (entry !== undefined) entry.leave = leave
  }

  pick(id: number, may: readonly number[]): boolean {
    const [backend] = may.filter((one) => this.isFree(one))
    if (backend === undefined) return false
    this.running[backend]!.push(id)
    this.backends[backend]!.inFlight++
    return true
  }

  release(backend: number): void {
    const id = this.running[backend]!.shift()
    if (id === undefined) return
    this.over.push(id)
    const wasFull = !this.isFree(backend)
    this.backends[backend]!.inFlight--
    if (wasFull) this.room.wake(this.backends[backend])
  }

  leave(nth: number): void {
    const [id, entry] = [...this.waiting][nth % Math.max(1, this.waiting.size)] ?? []
    if (id === undefined) return
    entry!.leave()
    this.waiting.delete(id)
    this.over.push(id)
  }

  limit(backend: number, to: number): void {
    const one = this.backends[backend]!
    one.config = { ...one.config, maxInFlight: to }
    this.room.wake()
  }
}

it('forgets nobody: whoever waits could not be seated, and each is served, refused or gone in the end', async () => {
  const backend = fc.nat({ max: 2 })
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ arrive: fc.uniqueArray(backend, { minLength: 1 }) }) },
    { weight: 4, arbitrary: fc.record({ release: backend }) },
    fc.record({ leave: fc.nat({ max: 9 }) }),
    fc.record({ limit: backend, to: fc.nat({ max: 3 }) }),
    fc.record({ advance: fc.nat({ max: 60 }) }),
    { weight: 4, arbitrary: fc.constant({ turn: true }) },
  )
  const limits = fc.array(fc.nat({ max: 2 }), { minLength: 3, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(limits, fc.nat({ max: 8 }), fc.array(step, { maxLength: 80 }), async (limits, max, steps) => {
      const model = new Model(limits, max)
      for (const one of steps) {
        if ('arrive' in one) model.arrive(one.arrive)
        else if ('release' in one) model.release(one.release)
        else if ('leave' in one) model.leave(one.leave)
        else if ('limit' in one) model.limit(one.limit, one.to)
        else if ('advance' in one) model.clock.advance(one.advance)
        else await turn()
        if (!('turn' in one)) continue
        for (const { may } of model.waiting.values()) expect(may.filter((backend) => model.isFree(backend))).toEqual([])
        expect(model.room.size).toBe(model.waiting.size)
      }
      model.clock.advance(100)
      for (let backend = 0; backend < 3; backend++) while (model.running[backend]!.length > 0) model.release(backend)
      expect(model.over.sort((a, b) => a - b)).toEqual(Array.from({ length: model.came }, (_, id) => id))
      expect(model.clock.timers).toBe(0)
    }),
    { numRuns: 500, seed: 7 },
  )
})
