// Holds keep what retention would delete, in every instance of a folder, as long as they are there.
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { liftHold, listHolds, placeHold } from '../../src/log/holds.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { until } from '../support/until.ts'

const hold = { name: 'case-12', by: 'legal', reason: 'preservation letter' }
const firstOf = (dir: string, log: string) =>
  Number(
    readdirSync(join(dir, 'a', log, 'segments'))
      .sort()[0]!
      .slice(0, 16),
  )
/** The files of holds that were lifted, by name. */
const lifted = (dir: string): Record<string, { readonly reason?: string }> => {
  const folder = join(dir, 'holds/lifted')
  const names = readdirSync(folder).sort()
  return Object.fromEntries(names.map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8'))]))
}
const limits = { instance: 'a', maxBytes: 100_000, segment: { maxBytes: 10_000 } }

it('is placed once, listed, and lifted', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  expect(await listHolds(dir)).toEqual([])
  const placed = await placeHold(dir, { ...hold, logs: ['control'] }, clock)
  expect(placed).toEqual({ ...hold, logs: ['control'], placed: '2026-01-01T00:00:00.000Z' })
  expect(JSON.parse(readFileSync(join(dir, 'holds/case-12.json'), 'utf8'))).toEqual(placed)
  await expect(placeHold(dir, hold)).rejects.toMatchObject({ code: 'config-invalid' })
  await placeHold(dir, { ...hold, name: 'b' }, clock)
  expect((await listHolds(dir)).map(({ name, logs }) => [name, logs.length])).toEqual([
    ['b', 3],
    ['case-12', 1],
  ])
  await liftHold(dir, 'case-12')
  await expect(liftHold(dir, 'case-12')).rejects.toMatchObject({ code: 'config-invalid' })
  expect((await listHolds(dir)).map(({ name }) => name)).toEqual(['b'])
})

it('is asked for only in a folder that is there, and not in that of a single instance', async () => {
  const dir = tempFolder()
  const missing = join(dir, 'audti')
  const log = await openLog({ dir, ...limits })
  await log.close()
  const acts: [string, (dir: string) => Promise<unknown>][] = [
    ['placeHold', (dir) => placeHold(dir, hold)],
    ['listHolds', (dir) => listHolds(dir)],
    ['liftHold', (dir) => liftHold(dir, 'case-12')],
  ]
  for (const [name, act] of acts) {
    await expect(act(missing)).rejects.toMatchObject({ code: 'log-invalid' })
    await expect(act(join(dir, 'a'))).rejects.toThrow(`${name}: ${join(dir, 'a')} is the folder of an instance`)
  }
  expect(readdirSync(dir)).toEqual(['a'])
  expect(readdirSync(join(dir, 'a'))).not.toContain('holds')
})

it('is in force under whatever name its file has while it is being lifted', async () => {
  const dir = tempFolder()
  await placeHold(dir, hold)
  const names = [join(dir, 'holds/case-12.json'), join(dir, 'holds/case-12~01234567.json')]
  const seen = new Set<string>()
  let lists = 300
  const list = async () => {
    while (lists-- > 0) seen.add((await listHolds(dir)).map(({ name }) => name).join())
  }
  const listing = list()
  for (let turn = 0; lists > 0; turn++) {
    renameSync(names[turn % 2]!, names[(turn + 1) % 2]!)
    await new Promise(setImmediate)
  }
  await listing
  expect([...seen]).toEqual(['case-12'])
})

it('that points to nothing counts as one of all logs', async () => {
  const dir = tempFolder()
  mkdirSync(join(dir, 'holds'))
  symlinkSync('nowhere', join(dir, 'holds/dangling.json'))
  expect(await listHolds(dir)).toMatchObject([{ name: 'dangling', logs: ['traffic', 'security', 'control'] }])
})

it('leaves a file when it is lifted, with who has placed and who has lifted it', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  const placed = await placeHold(dir, hold, clock)
  clock.advance(60_000)
  await liftHold(dir, 'case-12', { by: 'counsel', reason: 'settled' }, clock)
  expect(readdirSync(join(dir, 'holds'))).toEqual(['lifted'])
  const [file] = Object.keys(lifted(dir))
  expect(file).toMatch(/^2026-01-01T00-01-00\.000Z-case-12~[0-9a-f]{8}\.json$/)
  const whole = { ...placed, lifting: { at: '2026-01-01T00:01:00.000Z', by: 'counsel', reason: 'settled' } }
  expect(Object.values(lifted(dir))).toEqual([whole])
  // Again in the same millisecond, and by nobody in particular.
  await placeHold(dir, hold, clock)
  await liftHold(dir, 'case-12', {}, clock)
  const all = Object.values(lifted(dir))
  expect(all).toHaveLength(2)
  expect(all).toContainEqual(whole)
  expect(all).toContainEqual({ ...placed, placed: whole.lifting.at, lifting: { at: whole.lifting.at } })
  expect(readdirSync(join(dir, 'holds'))).toEqual(['lifted'])
})

it.each([[{ by: '' }], [{ reason: 'x'.repeat(1025) }], [{ who: 'me' }]])(
  'is not lifted with the note %j',
  async (note) => {
    const dir = tempFolder()
    await placeHold(dir, hold)
    await expect(liftHold(dir, 'case-12', note as never)).rejects.toMatchObject({ code: 'config-invalid' })
    expect(await listHolds(dir)).toHaveLength(1)
  },
)

it.each([false, true])(
  'is in force when its lifting ends half way, marked: %s, and is lifted by another call',
  async (marked) => {
    const dir = tempFolder()
    const clock = fakeClock()
    const placed = await placeHold(dir, hold, clock)
    const begun = { ...placed, lifting: { at: '2026-01-01T00:00:00.000Z', by: 'a', reason: 'b' } }
    const taken = join(dir, 'holds/case-12~0123abcd.json')
    renameSync(join(dir, 'holds/case-12.json'), taken)
    if (marked) writeFileSync(taken, JSON.stringify(begun))
    expect(await listHolds(dir)).toEqual([placed])
    clock.advance(1000)
    await liftHold(dir, 'case-12', { by: 'counsel' }, clock)
    expect(Object.values(lifted(dir))).toEqual([
      { ...placed, lifting: { at: '2026-01-01T00:00:01.000Z', by: 'counsel' } },
    ])
  },
)

it('is lifted once by two who do so at once', async () => {
  const dir = tempFolder()
  const placed = await placeHold(dir, hold)
  const done = await Promise.allSettled(['a', 'b'].map((by) => liftHold(dir, 'case-12', { by })))
  expect(done.some(({ status }) => status === 'fulfilled')).toBe(true)
  expect(await listHolds(dir)).toEqual([])
  expect(readdirSync(join(dir, 'holds'))).toEqual(['lifted'])
  for (const one of Object.values(lifted(dir))) expect(one).toMatchObject(placed)
})

it('leaves a file of each that was placed, however many place and lift at once', async () => {
  const dir = tempFolder()
  const placed: string[] = []
  const person = async (by: string): Promise<void> => {
    for (let i = 0; i < 30; i++) {
      const reason = `${by} ${i}`
      const place = placeHold(dir, { ...hold, reason }).then(() => placed.push(reason))
      await place.catch((error) => expect(error).toMatchObject({ code: 'config-invalid' }))
      await liftHold(dir, hold.name, { by }).catch((error) => expect(error).toMatchObject({ code: 'config-invalid' }))
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(person))
  for (const { name } of await listHolds(dir)) await liftHold(dir, name)
  expect(await listHolds(dir)).toEqual([])
  expect(placed.length).toBeGreaterThan(10)
  expect(new Set(Object.values(lifted(dir)).map(({ reason }) => reason))).toEqual(new Set(placed))
})

it('that is no hold can be lifted, and is kept', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  mkdirSync(join(dir, 'holds'))
  writeFileSync(join(dir, 'holds/torn.json'), '{"name":')
  writeFileSync(join(dir, 'holds/odd.json'), '{"why":1}')
  await liftHold(dir, 'torn', { by: 'counsel' }, clock)
  await liftHold(dir, 'odd', { by: 'counsel' }, clock)
  expect(await listHolds(dir)).toEqual([])
  const names = readdirSync(join(dir, 'holds/lifted'))
  const file = (name: string) => join(dir, 'holds/lifted', names.find((one) => one.includes(`Z-${name}~`))!)
  expect(readFileSync(file('torn'), 'utf8')).toBe('{"name":')
  expect(JSON.parse(readFileSync(file('odd'), 'utf8'))).toEqual({
    why: 1,
    lifting: { at: '2026-01-01T00:00:00.000Z', by: 'counsel' },
  })
})

it.each([
  [{ name: '../x' }, 'name'],
  [{ name: '.x' }, 'name'],
  [{ by: '' }, 'by'],
  [{ logs: ['other'] }, 'logs[0]'],
  [{ more: 1 }, 'more'],
])('is refused as %j', async (part, path) => {
  const placing = placeHold(tempFolder(), { ...hold, ...part } as never)
  await expect(placing).rejects.toMatchObject({ code: 'config-invalid', problems: [{ path }] })
})

it('cannot be lifted by a path', async () => {
  const dir = tempFolder()
  mkdirSync(join(dir, 'holds'))
  writeFileSync(join(dir, 'x.json'), '{}')
  await expect(liftHold(dir, '../x')).rejects.toMatchObject({ code: 'config-invalid' })
  expect(readdirSync(dir)).toContain('x.json')
})

it('keeps a log over age and budget, and takes no room from the others', async () => {
  const dir = tempFolder()
  await placeHold(dir, { ...hold, logs: ['traffic'] })
  const log = await openLog({ dir, ...limits })
  const text = 'x'.repeat(100)
  for (let round = 0; round < 10; round++) {
    await log.sink.durable('traffic', log.write('traffic', 100, { text }))
    await log.sink.durable('security', log.write('security', 20, { text }))
  }
  // Security alone is within its budget, and is not deleted for what traffic may not give up.
  expect([firstOf(dir, 'traffic'), firstOf(dir, 'security')]).toEqual([0, 0])
  expect(log.notices.filter(({ event }) => event === 'audit.pruned')).toEqual([])
  await liftHold(dir, 'case-12')
  await log.sink.durable('traffic', log.write('traffic', 100, { text }))
  await until(() => firstOf(dir, 'traffic') > 0)
  await log.close()
  expect((await verifyLog(dir)).ok).toBe(true)
})

it('that cannot be read holds all logs', async () => {
  const dir = tempFolder()
  mkdirSync(join(dir, 'holds'))
  writeFileSync(join(dir, 'holds', 'torn.json'), '{"name":')
  expect(await listHolds(dir)).toMatchObject([{ name: 'torn', logs: ['traffic', 'security', 'control'] }])
  const log = await openLog({ dir, ...limits })
  for (let round = 0; round < 10; round++) {
    await log.sink.durable('traffic', log.write('traffic', 200))
  }
  await log.close()
  expect(firstOf(dir, 'traffic')).toBe(0)
})
