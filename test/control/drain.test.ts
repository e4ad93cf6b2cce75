// Drains with a deadline, and backends that are disabled.
import { describe, expect, it } from 'vitest'
import type { Authorize } from '../../src/control/authorize.ts'
import { answering, httpBackend, rawBackend } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'
import { codeOf, watched } from '../support/watched.ts'

const pool = (authorize?: Authorize) => {
  const clock = fakeClock()
  const control = authorize === undefined ? {} : { authorize }
  const w = watched({ backends: ['http://a', 'http://b'], name: 'edge', clock, control, health: { passive: false } })
  return { ...w, clock, admin: () => w.balancer.snapshot().backends[0]!.admin }
}

describe('a drain with a deadline', () => {
  it('ends in a revision of its own by the same actor, which names the deadline', async () => {
    const { balancer, ops, clock, of, admin } = pool()
    expect(await ops.drain('a:80', { deadlineMs: 5000, message: 'new kernel', ticket: 'OPS-7' })).toBe(2)
    expect(of('config.changed').at(-1).config).toMatchObject({
      source: 'api',
      changes: [
        { path: '/backends/a:80/admin', from: 'ready', to: 'draining' },
        { path: '/backends/a:80/drainMs', to: 5000 },
      ],
    })
    clock.advance(4999)
    expect([admin(), balancer.snapshot().revision]).toEqual(['draining', 2])
    clock.advance(1)
    await until(() => admin() === 'disabled')
    const event = of('config.changed').at(-1)
    expect(event).toMatchObject({
      actor: { id: 'ops', type: 'user' },
      config: {
        revision: 3,
        source: 'deadline',
        message: 'the drain deadline of 5000 ms was reached: new kernel',
        ticket: 'OPS-7',
        changes: [
          { path: '/backends/a:80/admin', from: 'draining', to: 'disabled' },
          { path: '/backends/a:80/drainMs', from: 5000 },
        ],
      },
    })
    expect(of('backend.health_changed').map(({ backend: { axis, from, to } }) => [axis, from, to])).toEqual([
      ['admin', 'ready', 'draining'],
      ['admin', 'draining', 'disabled'],
    ])
    expect(balancer.pick().decision.excluded).toEqual([{ backend: 'a:80', reason: 'disabled' }])
    await ops.undrain('a:80')
    expect(admin()).toBe('ready')
  })

  it.each([
    ['undrained', (w: ReturnType<typeof pool>) => w.ops.undrain('a:80')],
    ['undrained and drained again', (w) => w.ops.undrain('a:80').then(() => w.ops.drain('a:80'))],
    ['undrained by another actor', (w) => w.balancer.as({ id: 'ann', type: 'user' }).undrain('a:80')],
    ['removed', (w) => w.ops.remove('a:80')],
    ['replaced', (w) => w.ops.update({ backends: ['http://b'] })],
    [
      'undrained at the very moment',
      (w) => {
        const undrained = w.ops.undrain('a:80')
        w.clock.advance(5000)
        return undrained
      },
    ],
  ] satisfies [string, (w: ReturnType<typeof pool>) => Promise<number>][])(
    'does nothing to one that was %s before',
    async (_, lift) => {
      const w = pool()
      await w.ops.drain('a:80', { deadlineMs: 5000 })
      await lift(w)
      const { revision } = w.balancer.snapshot()
      const before = w.clock.timers
      w.clock.advance(10_000)
      // A change that comes later is through: nothing is under way before it.
      await w.ops.setWeight('b:80', 7)
      expect(w.balancer.snapshot().revision).toBe(revision + 1)
      expect(w.of('config.changed').every(({ config }) => config.source === 'api')).toBe(true)
      expect(before).toBe(w.clock.timers)
    },
  )

  it('counts from the last drain that set another one', async () => {
    const { ops, clock, admin, of } = pool()
    expect(await ops.drain('a:80', { deadlineMs: 5000 })).toBe(2)
    clock.advance(3000)
    expect(await ops.drain('a:80', { deadlineMs: 5000 })).toBe(2)
    expect(await ops.drain('a:80')).toBe(2)
    expect(await ops.drain('a:80', { deadlineMs: 4000, message: 'later' })).toBe(3)
    clock.advance(3999)
    expect(admin()).toBe('draining')
    clock.advance(1)
    await until(() => admin() === 'disabled')
    expect(of('config.changed').at(-1).config.message).toBe('the drain deadline of 4000 ms was reached: later')
  })

  it('asks for the right again when it is reached, and leaves draining what it may not disable', async () => {
    const asked: unknown[] = []
    const w = pool((_, change) => {
      asked.push([change.type, change.attempted])
      return change.type === 'drain'
    })
    await w.ops.drain('a:80', { deadlineMs: 5000 })
    w.clock.advance(5000)
    await until(() => w.of('config.rejected').length === 1)
    expect(asked).toEqual([
      ['drain', { id: 'a:80', deadlineMs: 5000 }],
      ['disable', { id: 'a:80' }],
    ])
    expect(w.of('config.rejected')[0].config).toMatchObject({ source: 'deadline', code: 'change-refused' })
    expect(w.admin()).toBe('draining')
  })

  it('is refused where it is none', async () => {
    const { ops, of } = pool()
    for (const deadlineMs of [-1, 1.5, 86_400_001, '5' as never])
      expect(await codeOf(ops.drain('a:80', { deadlineMs }))).toBe('config-invalid')
    expect(await codeOf(ops.remove('a:80', { deadlineMs: 5 } as never))).toBe('config-invalid')
    expect(of('config.rejected')[0].config.attempted).toEqual({
      type: 'drain',
      backend: 'a:80',
      arguments: { id: 'a:80', deadlineMs: -1 },
    })
  })

  it('makes wait resolve when it is reached, also where a lease is not given back', async () => {
    const { balancer, ops, clock, admin } = pool()
    const [one, two] = [balancer.pick(), balancer.pick()]
    const held = [one, two].find(({ backend }) => backend?.id === 'a:80')!
    let resolved = false
    const drained = ops.drain('a:80', { deadlineMs: 5000, wait: true }).then((revision) => {
      resolved = true
      return revision
    })
    await until(() => admin() === 'draining')
    clock.advance(4999)
    await ops.setWeight('b:80', 2)
    expect(resolved).toBe(false)
    clock.advance(1)
    expect(await drained).toBe(2)
    expect([admin(), balancer.snapshot().backends[0]!.inFlight]).toEqual(['disabled', 1])
    held.done({ result: 'ok' })
  })

  it('makes wait resolve as soon as nothing is in flight', async () => {
    const { balancer, ops, admin } = pool()
    const leases = [balancer.pick(), balancer.pick()]
    const drained = ops.drain('a:80', { deadlineMs: 5000, wait: true })
    await until(() => admin() === 'draining')
    for (const lease of leases) lease.done({ result: 'ok' })
    expect(await drained).toBe(2)
    expect(admin()).toBe('draining')
  })
})

describe('disable', () => {
  it('is one revision, until undrain; a drain does not lift it', async () => {
    const { balancer, ops, of, admin } = pool()
    expect(await ops.disable('a:80', { message: 'it burns' })).toBe(2)
    expect(of('config.changed').at(-1).config).toMatchObject({ source: 'api', message: 'it burns' })
    expect(await ops.disable('a:80')).toBe(2)
    expect(await ops.drain('a:80', { deadlineMs: 5 })).toBe(2)
    expect([admin(), balancer.pick().backend?.id]).toEqual(['disabled', 'b:80'])
    expect(await ops.undrain('a:80')).toBe(3)
    expect(admin()).toBe('ready')
    expect(await codeOf(ops.disable('nobody'))).toBe('backend-unknown')
  })

  it('ends a drain and its deadline', async () => {
    const { ops, clock, of } = pool()
    const before = clock.timers
    await ops.drain('a:80', { deadlineMs: 5000 })
    await ops.disable('a:80')
    expect(clock.timers).toBe(before)
    expect(of('config.changed').at(-1).config.changes).toEqual([
      { path: '/backends/a:80/admin', from: 'draining', to: 'disabled' },
      { path: '/backends/a:80/drainMs', from: 5000 },
    ])
  })
})

describe('what is in flight on a backend that is disabled', () => {
  const ready = async (first: { readonly url: string; readonly port: number }) => {
    const second = await answering()
    const e = await edge([first, second])
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    return { ...e, second, disable: () => ops.disable(`127.0.0.1:${first.port}`, { wait: true }) }
  }
  const hanging = async () => {
    const seen: string[] = []
    const backend = await httpBackend((request) => void request.resume().on('end', () => seen.push(request.method!)))
    return { ...backend, seen }
  }

  it('is tried elsewhere if it may be', async () => {
    const first = await hanging()
    const { port, second, disable, one, balancer } = await ready(first)
    const reply = send(port)
    await until(() => first.seen.length === 1)
    await disable()
    expect(await reply).toMatchObject({ status: 200, body: 'ok' })
    expect((await one()).lb).toMatchObject({
      result: 'ok',
      attempts: [
        { port: first.port, result: 'drain-deadline', detail: `127.0.0.1:${first.port} is disabled` },
        { port: second.port, result: 'ok' },
      ],
    })
    expect(balancer.snapshot().backends[0]).toMatchObject({ admin: 'disabled', inFlight: 0, failures: 0 })
    await until(() => first.sockets.size === 0)
  })

  it('is 503 if it may not', async () => {
    const first = await hanging()
    const { port, second, disable, one } = await ready(first)
    const reply = send(port, { method: 'POST', body: 'once' })
    await until(() => first.seen.length === 1)
    await disable()
    expect(await reply).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect((await one()).lb).toMatchObject({
      result: 'drain-deadline',
      ended_by: 'balancer',
      attempts: [{ result: 'drain-deadline' }],
    })
    expect(second.seen).toEqual([])
  })

  it('is cut where the response has begun', async () => {
    const first = await rawBackend((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.'))
    const { port, disable, one } = await ready(first)
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.has('half.')
    await disable()
    expect(await client.ended).toBe('reset')
    const { lb, http } = await one()
    expect(lb.attempts[0]).toMatchObject({ result: 'drain-deadline', port: first.port })
    expect([lb.result, http.response.status_code]).toEqual(['drain-deadline', 200])
  })

  it('leaves the others alone', async () => {
    const [first, held] = [await hanging(), [] as (() => void)[]]
    const other = await httpBackend((_, response) => void held.push(() => response.end('kept')))
    const e = await edge([other])
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    const reply = send(e.port)
    await until(() => held.length === 1)
    await ops.addBackend({ id: 'first', url: first.url })
    await ops.disable('first', { wait: true })
    held[0]!()
    expect(await reply).toMatchObject({ status: 200, body: 'kept' })
  })
})
