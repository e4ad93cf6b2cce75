// The topology: whatever sources and configuration say, its events tell exactly who is in the pool.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Backend, backendSchema } from '../../src/backend.ts'
import { changesBetween, isSamePool, nowhere, topologyOf } from '../../src/discovery/topology.ts'

const backend = fc
  .record({
    id: fc.constantFrom('a', 'b', 'c', '__proto__'),
    host: fc.constantFrom('10.0.0.1', '10.0.0.2'),
    weight: fc.integer({ min: 0, max: 2 }),
  })
  .map(({ id, host, weight }): Backend => backendSchema.parse({ id, url: `http://${host}`, weight }))
const set = fc.uniqueArray(backend, { selector: ({ id }) => id, maxLength: 4 })
const step = fc.record({ configured: set, found: fc.array(set, { minLength: 1, maxLength: 3 }) })
const labels = [0, 1, 2].map((i) => ({ source: 'file' as const, of: `f${i}` }))

it('events add up to those that were found and serve, each with what it was before', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      const model = new Map<string, string>()
      let before = nowhere
      for (const { configured, found } of steps) {
        const finders = found.map((backends, i) => ({ label: labels[i]!, backends }))
        const after = topologyOf(configured, finders, {})
        const events = changesBetween(before, after)
        for (const { backend: about, discovery } of events) {
          const told = ({ url, weight }: { url: string; weight: number }, of: string) => `${url} ${weight} ${of}`
          const { change, before: was, after: is, of } = discovery
          const known = model.get(about.id)
          if (was !== undefined) expect(known?.startsWith(`${was.url} ${was.weight} `)).toBe(true)
          if (change === 'joined') expect(known).toBeUndefined()
          if (change === 'changed') expect(known).not.toBe(told(is!, of))
          if (change === 'joined' || change === 'changed') model.set(about.id, told(is!, of))
          else if (was !== undefined) expect(model.delete(about.id)).toBe(true)
          expect(discovery.pool_size).toBe(after.members.length)
        }
        const owned = new Set(configured.map(({ id }) => id))
        const expected = new Map<string, string>()
        found.forEach((backends, i) => {
          for (const { id, url, weight } of backends)
            if (!owned.has(id) && !expected.has(id)) expected.set(id, `${url} ${weight} f${i}`)
        })
        expect([...model].sort()).toEqual([...expected].sort())
        expect(after.members.map(({ id }) => id)).toEqual([...configured.map(({ id }) => id), ...expected.keys()])
        expect(changesBetween(after, topologyOf(configured, finders, {}))).toEqual([])
        before = after
      }
    }),
    { seed: 3, numRuns: 1000 },
  )
})

it('a weight that was set is that of the pool, and not of the events', () => {
  const [one] = [backendSchema.parse({ id: 'a', url: 'http://10.0.0.1', weight: 4 })]
  const finders = [{ label: labels[0]!, backends: [one] }]
  const plain = topologyOf([], finders, {})
  const weighed = topologyOf([], finders, { a: 9 })
  expect(weighed.members).toMatchObject([{ id: 'a', weight: 9 }])
  expect([changesBetween(plain, weighed), isSamePool(plain.members, weighed.members)]).toEqual([[], false])
})
