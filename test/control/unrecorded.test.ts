// Changes while the log cannot be written: refused, or made by force and recorded later.
import { expect, it } from 'vitest'
import { fakeClock } from '../support/fake-clock.ts'
import { collect, keepLogger, memoryStore } from '../support/sinks.ts'
import { until } from '../support/until.ts'
import { codeOf, watched } from '../support/watched.ts'

function pool(store = memoryStore(), clock = fakeClock()) {
  const other = collect()
  const logger = keepLogger()
  const w = watched({
    backends: [{ id: 'a', url: 'http://a' }],
    clock,
    audit: { sinks: [store, other], clock, logger },
  })
  return { ...w, store, other, clock }
}
const named = (events: readonly { event_name: string }[]) => events.map(({ event_name }) => event_name)

it('an unhealthy log refuses changes, and takes them again when it is well', async () => {
  const p = pool()
  await p.balancer.ready()
  p.store.faults = { control: 'EIO' }
  expect(await codeOf(p.ops.setWeight('a', 2))).toBe('change-unrecorded')
  expect(p.balancer.snapshot()).toMatchObject({ revision: 1, backends: [{ weight: 1 }] })
  expect(p.of('config.rejected')[0].config).toMatchObject({
    code: 'change-unrecorded',
    detail: 'a change that cannot be recorded is refused: the control log cannot be written: EIO',
  })
  p.store.faults = {}
  expect(await p.ops.setWeight('a', 2)).toBe(2)
})

it('changes go on while only other logs cannot be written, as on a disk that has its reserve for the control log', async () => {
  const p = pool()
  await p.balancer.ready()
  p.store.faults = { traffic: 'ENOSPC', security: 'ENOSPC' }
  expect(await p.ops.setWeight('a', 2)).toBe(2)
  expect(p.of('config.rejected')).toEqual([])
})

it('a line that does not become durable refuses its change: by a rejection, and by silence', async () => {
  const p = pool()
  await p.balancer.ready()
  p.store.persist = async () => {
    throw new Error('EIO')
  }
  expect(await codeOf(p.ops.setWeight('a', 2))).toBe('change-unrecorded')
  p.store.persist = () => new Promise(() => undefined)
  const silent = codeOf(p.ops.setWeight('a', 3))
  await until(() => p.of('config.changed').length === 2)
  p.clock.advance(10_000)
  expect(await silent).toBe('change-unrecorded')
  expect(p.balancer.snapshot().revision).toBe(1)
})

it('a line that the log did not take refuses its change', async () => {
  const p = pool()
  await p.balancer.ready()
  p.store.takes = false
  expect(await codeOf(p.ops.setWeight('a', 2))).toBe('change-unrecorded')
})

it('breakGlass makes the change, and its line is written as soon as the log takes lines', async () => {
  const p = pool()
  await p.balancer.ready()
  p.store.takes = false
  p.store.faults = { traffic: 'EIO', control: 'EIO' }
  expect(await p.ops.setWeight('a', 2, { breakGlass: true, message: 'on fire' })).toBe(2)
  p.balancer.pick()
  expect(await p.ops.setWeight('a', 3, { breakGlass: true })).toBe(3)
  expect(p.balancer.snapshot().backends[0]!.weight).toBe(3)
  expect(named(p.store.events('control'))).not.toContain('config.changed')
  p.store.takes = true
  p.store.faults = {}
  p.balancer.pick()
  const written = p.store.events('control').filter(({ event_name }) => event_name === 'config.changed')
  expect(written.map(({ config }) => [config.revision, config.break_glass, config.message])).toEqual([
    [2, true, 'on fire'],
    [3, true, undefined],
  ])
  // The pick in between was lost, and is told.
  expect(p.store.events('traffic').find(({ event_name }) => event_name === 'audit.gap').log).toMatchObject({
    count: 1,
    by_type: { 'route.picked': 1 },
    reason: 'store-unavailable',
  })
})

it('breakGlass while the log cannot be opened: the change is in it once it can', async () => {
  let refuses = true
  const store = memoryStore({
    opening: async () => {
      if (refuses) throw new Error('no volume')
    },
  })
  const p = pool(store)
  expect(await codeOf(p.balancer.ready())).toBe('sink-unavailable')
  expect(await codeOf(p.ops.setWeight('a', 2))).toBe('change-unrecorded')
  expect(await p.ops.setWeight('a', 2, { breakGlass: true })).toBe(2)
  refuses = false
  p.clock.advance(5000)
  await until(() => p.store.events('control').length > 0)
  p.balancer.pick()
  expect(named(p.store.events('control'))).toContain('config.changed')
  const gap = p.store.events('control').find(({ event_name }) => event_name === 'audit.gap')
  expect(gap.log.by_type['config.changed']).toBeUndefined()
})

it('by force does not go past authorize', async () => {
  const p = watched({ backends: ['http://a'], control: { authorize: () => false } })
  expect(await codeOf(p.ops.drain('a:80', { breakGlass: true }))).toBe('change-refused')
})

it('a change before the log is open waits for it, whatever another sink does', async () => {
  let open = (): void => undefined
  const store = memoryStore({
    opening: () =>
      new Promise((resolve) => {
        open = resolve
      }),
  })
  const hangs = { ...collect('hangs'), open: () => new Promise<void>(() => undefined) }
  const w = watched({ backends: [{ id: 'a', url: 'http://a' }], audit: { sinks: [store, hangs] } })
  const change = w.ops.setWeight('a', 2)
  await until(() => w.of('config.changed').length === 1)
  expect(w.balancer.snapshot().revision).toBe(1)
  open()
  expect(await change).toBe(2)
})
