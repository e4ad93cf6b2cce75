// Changes on live traffic: each part of the configuration is in force when its change resolves.
import { expect, it } from 'vitest'
import { answering, httpBackend, refusing } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { until } from '../support/until.ts'

const get = async (port: number): Promise<[number, string]> => {
  const response = await fetch(`http://127.0.0.1:${port}/`)
  return [response.status, await response.text()]
}

async function live(options: Parameters<typeof edge>[1] = {}) {
  const one = await answering((response) => response.end('one'))
  const two = await answering((response) => response.end('two'))
  const e = await edge([one], options)
  const { id } = e.balancer.snapshot().backends[0]!
  return { ...e, one, two, id, ops: e.balancer.as({ id: 'ops', type: 'user' }) }
}

it('backends', async () => {
  const l = await live()
  expect(await get(l.port)).toEqual([200, 'one'])
  await l.ops.addBackend({ id: 'two', url: l.two.url })
  await l.ops.drain(l.id)
  expect(await get(l.port)).toEqual([200, 'two'])
  await l.ops.undrain(l.id)
  await l.ops.setWeight('two', 0)
  expect(await get(l.port)).toEqual([200, 'one'])
  await l.ops.update({ backends: [l.two.url] })
  expect(await get(l.port)).toEqual([200, 'two'])
  await l.ops.remove(l.balancer.snapshot().backends[0]!.id)
  expect((await get(l.port))[0]).toBe(503)
  const done = await l.completed(5)
  expect(done.map(({ lb }) => lb.config_revision)).toEqual([1, 3, 5, 6, 7])
})

it('strategy', async () => {
  const l = await live()
  await l.ops.update({ strategy: { name: 'pinned', pick: (all) => all[0] } })
  await get(l.port)
  expect((await l.completed(1))[0]!.lb.decision).toMatchObject({ strategy: 'pinned', reason: 'custom' })
})

it('access', async () => {
  const l = await live()
  await l.ops.update({ access: { deny: ['127.0.0.0/8'] } })
  await get(l.port).catch(() => undefined)
  await l.denied(1)
  await l.ops.update({ access: {} })
  expect(await get(l.port)).toEqual([200, 'one'])
})

it('retry', async () => {
  const l = await live({ health: { passive: false } })
  const { url } = await refusing()
  const pinned = {
    name: 'in-order',
    pick: (all: readonly never[], draft: { admits(one: never): boolean }) => all.find((one) => draft.admits(one)),
  }
  await l.ops.update({
    backends: [
      { id: 'dead', url },
      { id: 'two', url: l.two.url },
    ],
    strategy: pinned as never,
  })
  expect(await get(l.port)).toEqual([200, 'two'])
  await l.ops.update({ retry: { retries: 0 } })
  expect((await get(l.port))[0]).toBe(502)
})

it('timeouts', async () => {
  const l = await live()
  const stalls = await httpBackend(() => undefined)
  await l.ops.update({ backends: [stalls.url], timeouts: { headerMs: 50 }, retry: { retries: 0 } })
  expect((await get(l.port))[0]).toBe(504)
})

it('health', async () => {
  const l = await live()
  await l.ops.addBackend({ id: 'two', url: l.two.url })
  await l.ops.update({ health: { active: { path: '/probe', intervalMs: 10 } } })
  await until(() => l.one.seen.some(({ url }) => url === '/probe') && l.two.seen.some(({ url }) => url === '/probe'))
})

it('host', async () => {
  const l = await live()
  await l.ops.update({ host: 'backend' })
  await get(l.port)
  expect(l.one.seen[0]!.rawHeaders.join()).toContain(`127.0.0.1:${l.one.port}`)
})

it.each(['drain', 'remove'] as const)(
  '%s with wait resolves once the backend is empty, without at once',
  async (verb) => {
    const answers: (() => void)[] = []
    const slow = await httpBackend((_, response) => void answers.push(() => response.end('late')))
    const e = await edge([slow])
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    const { id } = e.balancer.snapshot().backends[0]!
    const response = get(e.port)
    await until(() => answers.length === 1)
    let empty = false
    const waiting = ops[verb](id, { wait: true }).then(() => {
      empty = true
    })
    await until(() => e.balancer.snapshot().revision === 2)
    expect(e.balancer.pick().backend).toBeUndefined()
    if (verb === 'drain') expect(await ops.drain(id)).toBe(2)
    expect(empty).toBe(false)
    answers[0]!()
    await waiting
    expect(await response).toEqual([200, 'late'])
  },
)
