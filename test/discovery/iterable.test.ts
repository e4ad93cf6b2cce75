// Backends from a user's own source.
import { expect, it } from 'vitest'
import type { BackendOptions } from '../../src/backend.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

const one: BackendOptions = { id: 'one', url: 'http://10.0.0.1' }
const two: BackendOptions = { id: 'two', url: 'http://10.0.0.2' }

/** An iterable that yields what a test gives it, and knows whether it was left. */
function feed() {
  const values: (() => unknown)[] = []
  let wake: () => void = () => undefined
  let left = false
  const give = (value: () => unknown): void => {
    values.push(value)
    wake()
  }
  const next = async (): Promise<IteratorResult<never>> => {
    while (values.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return values.shift()!() as IteratorResult<never>
  }
  return {
    give: (value: unknown) => give(() => ({ done: false, value })),
    end: () => give(() => ({ done: true, value: undefined })),
    fail: (error: unknown) =>
      give(() => {
        throw error
      }),
    left: () => left,
    [Symbol.asyncIterator]: () => ({
      next,
      async return() {
        left = true
        return { done: true as const, value: undefined }
      },
    }),
  }
}
const failures = (w: ReturnType<typeof watched>) => w.of('discovery.failed').map(({ discovery }) => discovery)
const ids = (w: ReturnType<typeof watched>) => w.balancer.snapshot().backends.map(({ id }) => id)

it('takes each value for the whole set', async () => {
  const source = feed()
  const w = watched({ backends: [], discovery: source })
  source.give([one])
  await w.balancer.ready()
  expect(ids(w)).toEqual(['one'])
  source.give(['http://10.0.0.3', two])
  await until(() => ids(w).length === 2)
  expect(w.of('topology.changed').map(({ backend, discovery }) => [discovery.change, backend.id])).toEqual([
    ['joined', 'one'],
    ['left', 'one'],
    ['joined', '10.0.0.3:80'],
    ['joined', 'two'],
  ])
  expect(w.of('topology.changed')[0].discovery).toMatchObject({ source: 'iterable', of: 'iterable' })
})

it('takes a function that makes one, and aborts its signal on close', async () => {
  let aborted = false
  async function* sets(signal: AbortSignal) {
    yield [one]
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    aborted = true
  }
  const w = watched({ backends: [], discovery: { type: 'iterable', from: sets, name: 'registry' } })
  await w.balancer.ready()
  expect(w.of('topology.changed')[0].discovery).toMatchObject({ of: 'registry' })
  await w.balancer.close()
  await until(() => aborted)
  expect(failures(w)).toEqual([])
})

it('is left by `return` on close, and what it gives afterwards is not heard', async () => {
  const source = feed()
  const w = watched({ backends: [], discovery: source })
  source.give([one])
  await w.balancer.ready()
  await w.balancer.close()
  expect(source.left()).toBe(true)
  source.give([two])
  await new Promise((resolve) => setImmediate(resolve))
  expect(ids(w)).toEqual(['one'])
})

it('one that throws when it is left troubles nobody', async () => {
  const bad = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: false as const, value: [one] }),
      return(): never {
        throw new Error('no')
      },
    }),
  }
  let asked = 0
  const slow = {
    [Symbol.asyncIterator]: () => {
      const inner = bad[Symbol.asyncIterator]()
      // The second value never comes.
      return { ...inner, next: () => (asked++ === 0 ? inner.next() : new Promise<never>(() => undefined)) }
    },
  }
  const w = watched({ backends: [], discovery: slow })
  await w.balancer.ready()
  await w.balancer.close()
  expect(ids(w)).toEqual(['one'])
})

it.each([
  ['ends', (source: ReturnType<typeof feed>) => source.end(), { cause: 'ended' }],
  ['throws', (source: ReturnType<typeof feed>) => source.fail(new Error('gone')), { cause: 'threw', detail: 'gone' }],
  ['throws nothing', (source: ReturnType<typeof feed>) => source.fail(undefined), { cause: 'threw' }],
] as const)('keeps the last set of one that %s, and says so', async (_, stop, told) => {
  const source = feed()
  const w = watched({ backends: [], discovery: source })
  source.give([one])
  await w.balancer.ready()
  stop(source)
  await until(() => failures(w).length > 0)
  expect([ids(w), failures(w)]).toMatchObject([['one'], [{ ...told, kept: 1 }]])
})

it('skips what is no set, says so once with each problem, and takes the next', async () => {
  const source = feed()
  const w = watched({ backends: [], discovery: source })
  source.give([one])
  const trap = {
    get url() {
      throw new Error('boo')
    },
  }
  for (const value of [5, [{ url: 'x' }, { id: 'x' }], [{ url: 'y' }, { id: 'y' }], [], [trap]]) source.give(value)
  source.give([two])
  await until(() => ids(w).join() === 'two')
  expect(failures(w)).toMatchObject([
    { cause: 'invalid', problems: [{ path: '(the whole)' }] },
    { cause: 'invalid', problems: [{ path: '[0].url' }, { path: '[1].url' }] },
    { cause: 'empty' },
    { cause: 'invalid', detail: 'what was given is not valid: a set cannot be read: boo' },
  ])
  expect(w.of('discovery.recovered')).toMatchObject([{ discovery: { failures: 5, found: 1 } }])
})

it.each([
  [
    'throws',
    () => {
      throw new Error('no registry')
    },
  ],
  ['returns something else', () => 5],
  ['rejects', async () => Promise.reject(new Error('no registry'))],
])('a function that %s is a failure of the source', async (_, from) => {
  const w = watched({ backends: [], discovery: from as never })
  await expect(w.balancer.ready()).rejects.toMatchObject({ code: 'discovery-failed' })
  expect(failures(w)).toMatchObject([{ cause: 'threw', kept: 0 }])
})
