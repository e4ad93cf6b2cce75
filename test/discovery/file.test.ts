// Backends from a file: every way in which files change, on a real file system.
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, watch, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import type { BackendOptions } from '../../src/backend.ts'
import type { DiscoveryOptions } from '../../src/discovery/options.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

type FileSource = Extract<DiscoveryOptions, { type: 'file' }>

const one: BackendOptions = { id: 'one', url: 'http://10.0.0.1:80' }
const two: BackendOptions = { id: 'two', url: 'http://10.0.0.2:80', weight: 2, zone: 'eu' }

function pool(path: string, options: Partial<FileSource> = {}) {
  const clock = fakeClock()
  const w = watched({ backends: [], discovery: { type: 'file', path, ...options }, clock })
  const ids = () => w.balancer.snapshot().backends.map(({ id }) => id)
  // Time goes on by what a notice needs, and not by an interval, unless it is told to.
  const later = (holds: () => boolean, stepMs = 100) =>
    until(() => {
      clock.advance(stepMs)
      return holds()
    })
  const failures = () => w.of('discovery.failed').map(({ discovery }) => discovery)
  return { ...w, clock, ids, later, failures }
}
const write = (path: string, value: unknown): void => writeFileSync(path, JSON.stringify(value))
/** Puts a new file in the place of the old one, as careful writers do. */
function replace(path: string, value: unknown): void {
  write(`${path}.new`, value)
  renameSync(`${path}.new`, path)
}
function started(value: unknown, options: Partial<FileSource> = {}) {
  const path = join(tempFolder(), 'backends.json')
  write(path, value)
  return { path, ...pool(path, options) }
}

it.each([
  ['a list', [one, two]],
  ['an object with `backends`', { backends: [one, two] }],
])('takes %s, by the schema of the option `backends`', async (_, value) => {
  const p = started(value)
  await p.balancer.ready()
  expect(p.balancer.snapshot().backends).toMatchObject([
    { id: 'one', url: 'http://10.0.0.1', weight: 1 },
    { id: 'two', url: 'http://10.0.0.2', weight: 2, zone: 'eu' },
  ])
  expect(p.of('topology.changed').map(({ discovery }) => [discovery.change, discovery.of])).toEqual([
    ['joined', p.path],
    ['joined', p.path],
  ])
})

// Hours between two looks: what is seen is seen by the notices of the system.
const noLook = { intervalMs: 3_600_000 }

it('sees a file that is written in place', async () => {
  const p = started([one], noLook)
  await p.balancer.ready()
  write(p.path, [one, two])
  await p.later(() => p.ids().length === 2)
  expect(p.failures()).toEqual([])
})

it('sees a file that takes the place of the old one, time and again', async () => {
  const p = started([one], noLook)
  await p.balancer.ready()
  for (const set of [[two], [one, two], [one], [two, one]]) {
    replace(p.path, set)
    await p.later(() => p.ids().join() === set.map((backend) => (backend as { id: string }).id).join())
  }
  expect(p.failures()).toEqual([])
})

it('sees a file that is deleted and made anew, and keeps the last good set between', async () => {
  const p = started([one], noLook)
  await p.balancer.ready()
  rmSync(p.path)
  await p.later(() => p.failures().length === 1)
  expect([p.ids(), p.failures()]).toMatchObject([['one'], [{ cause: 'unreadable', detail: 'ENOENT', kept: 1 }]])
  write(p.path, [two])
  await p.later(() => p.ids().join() === 'two')
  expect(p.of('discovery.recovered')).toMatchObject([{ discovery: { found: 1 } }])
})

it('sees a symbolic link beside it that is swapped, as by a mounted ConfigMap', async () => {
  const folder = tempFolder()
  for (const [name, set] of [
    ['v1', [one]],
    ['v2', [two]],
  ] as const) {
    mkdirSync(join(folder, name))
    write(join(folder, name, 'backends.json'), set)
  }
  symlinkSync('v1', join(folder, '..data'))
  symlinkSync(join('..data', 'backends.json'), join(folder, 'backends.json'))
  const p = pool(join(folder, 'backends.json'), noLook)
  await p.balancer.ready()
  expect(p.ids()).toEqual(['one'])
  symlinkSync('v2', join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  rmSync(join(folder, 'v1'), { recursive: true })
  await p.later(() => p.ids().join() === 'two')
  expect(p.failures()).toEqual([])
})

it('sees at the interval what no notice tells: a link elsewhere that is swapped, and a new folder', async () => {
  const folder = tempFolder()
  for (const [name, set] of [
    ['v1', [one]],
    ['v2', [two]],
  ] as const) {
    mkdirSync(join(folder, 'far', name), { recursive: true })
    write(join(folder, 'far', name, 'backends.json'), set)
  }
  mkdirSync(join(folder, 'near'))
  symlinkSync(join(folder, 'far', 'v1'), join(folder, 'far', 'current'))
  symlinkSync(join(folder, 'far', 'current', 'backends.json'), join(folder, 'near', 'backends.json'))
  const p = pool(join(folder, 'near', 'backends.json'))
  await p.balancer.ready()
  symlinkSync(join(folder, 'far', 'v2'), join(folder, 'far', 'next'))
  renameSync(join(folder, 'far', 'next'), join(folder, 'far', 'current'))
  await p.later(() => p.ids().join() === 'two', 2000)
  rmSync(join(folder, 'near'), { recursive: true })
  await p.later(() => p.failures().length === 1, 2000)
  mkdirSync(join(folder, 'near'))
  write(join(folder, 'near', 'backends.json'), [one, two])
  await p.later(() => p.ids().length === 2, 2000)
})

it('waits for a writer who is in the midst of it', async () => {
  const p = started([one], noLook)
  await p.balancer.ready()
  truncateSync(p.path)
  const text = JSON.stringify([one, two])
  writeFileSync(p.path, text.slice(0, 30))
  // Less time goes by than it is given to be whole, though enough for a notice.
  for (let i = 0; i < 50; i++) await setImmediate(p.clock.advance(1))
  writeFileSync(p.path, text)
  await p.later(() => p.ids().length === 2, 1)
  expect(p.failures()).toEqual([])
})

it('a file that is not whole keeps the last good set, and is told once', async () => {
  const p = started([one], noLook)
  await p.balancer.ready()
  writeFileSync(p.path, '[{"id": "one", ')
  await p.later(() => p.failures().length === 1)
  for (let i = 0; i < 10; i++) await p.later(() => true, 3_600_000)
  expect([p.ids(), p.failures()]).toMatchObject([['one'], [{ cause: 'invalid', kept: 1 }]])
  expect(p.failures()[0].detail).toMatch(/JSON/)
})

it('tells everything that is wrong, with its place in the file', async () => {
  const p = started({ backends: [one] })
  await p.balancer.ready()
  replace(p.path, { backends: [{ ...one, wieght: 2 }, 'ftp://x', two, two] })
  await p.later(() => p.failures().length === 1)
  const [{ problems, detail }] = p.failures()
  expect(problems.map(({ path }: { path: string }) => path).sort()).toEqual([
    'backends[0].wieght',
    'backends[1]',
    'backends[3].id',
  ])
  expect([detail, p.ids()]).toEqual(['3 problems', ['one']])
  replace(p.path, [5])
  await p.later(() => p.failures().length === 2)
  expect(p.failures()[1].problems).toMatchObject([{ path: '[0]' }])
})

it.each([
  ['a number', 5, '(the whole)'],
  ['an object without a list', {}, 'backends'],
  ['an object with more', { backends: [one], more: 1 }, 'more'],
])('refuses %s', async (_, value, path) => {
  const p = started(value)
  await expect(p.balancer.ready()).rejects.toMatchObject({ code: 'discovery-failed' })
  expect(p.failures()).toMatchObject([{ cause: 'invalid', problems: [{ path }] }])
})

it.each([
  [false, ['one'], [{ cause: 'empty', kept: 1 }]],
  [true, [], []],
])('an empty list, with allowEmpty: %j', async (allowEmpty, ids, failures) => {
  const p = started([one], { allowEmpty })
  await p.balancer.ready()
  replace(p.path, [])
  await p.later(() => p.failures().length > 0 || p.ids().length === 0)
  expect([p.ids(), p.failures()]).toMatchObject([ids, failures])
})

it('is ready without a file, if there are backends besides, and takes it when it comes', async () => {
  const path = join(tempFolder(), 'backends.json')
  const clock = fakeClock()
  const w = watched({ backends: ['http://10.0.0.9'], discovery: { type: 'file', path }, clock })
  await w.balancer.ready()
  write(path, [one])
  await until(() => {
    clock.advance(100)
    return w.balancer.snapshot().backends.length === 2
  })
})

it('a folder, and a pipe without a writer, are no file', async () => {
  const p = pool(tempFolder())
  await expect(p.balancer.ready()).rejects.toMatchObject({ code: 'discovery-failed' })
  expect(p.failures()).toMatchObject([{ cause: 'unreadable', detail: 'it is not a file' }])
})

it('a set that is written anew as it was makes no event and no new snapshot', async () => {
  const p = started([one, two], { intervalMs: 100 })
  await p.balancer.ready()
  const version = () => {
    const lease = p.balancer.pick()
    lease.done({ result: 'ok' })
    return lease.decision.snapshot
  }
  const before = version()
  replace(p.path, { backends: [one, two] })
  await until(() => {
    p.clock.advance(50)
    return p.of('topology.changed').length === 2 && p.clock.now() > Date.UTC(2026, 0, 1) + 5000
  })
  expect([version(), p.of('topology.changed').length]).toEqual([before, 2])
  // Another order is another set for `first`, and no change of the topology.
  replace(p.path, [two, one])
  await p.later(() => p.ids().join() === 'two,one')
  expect(p.of('topology.changed')).toHaveLength(2)
})

it('leaves no timer and no watcher once it is closed', async () => {
  const p = started([one])
  await p.balancer.ready()
  // Hears what the balancer would hear, and not before it.
  let notices = 0
  const other = watch(dirname(p.path), () => {
    notices++
  })
  onTestFinished(() => other.close())
  write(p.path, [two])
  await p.balancer.close()
  const before = notices
  write(p.path, [one, two])
  await until(() => notices > before)
  await setImmediate()
  expect([p.clock.timers, p.ids()]).toEqual([0, ['one']])
})

it('what does not show is escaped, in paths, places and messages', async () => {
  const path = join(tempFolder(), 'back\u202eends\n.json')
  writeFileSync(path, JSON.stringify([{ ...one, 'we\u001bight': 1 }]))
  const p = pool(path)
  await expect(p.balancer.ready()).rejects.toMatchObject({ code: 'discovery-failed' })
  expect(p.failures()[0].of).toMatch(/back\\u\{202e\}ends\\x0a\.json$/)
  expect(p.failures()[0].problems).toMatchObject([{ path: '[0].we\\x1bight' }])
})
