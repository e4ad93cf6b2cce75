// Holds keep what retention would delete, in every instance of a folder, as long as they are there.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { liftHold, listHolds, placeHold } from '../../src/log/holds.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { logEvents } from '../../src/log-events.ts'
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
  expect(readdirSync(join(dir, 'holds'))).toEqual(['b.json'])
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

it('is noticed by a writer that runs within a minute, and told with who, why and when', async () => {
  const dir = tempFolder()
  const clock = fakeClock()
  await placeHold(dir, { ...hold, name: 'old' }, clock)
  const log = await openLog({ dir, ...limits }, { clock })
  const told = () => log.notices.filter(({ event }) => event === 'audit.hold_changed').map(({ facts }) => facts)
  const minute = () => {
    for (let second = 0; second < 60; second++) clock.advance(1000)
  }
  clock.advance(1000)
  await until(() => told().length === 1)
  await placeHold(dir, { ...hold, reason: 'a\u001b[31m' }, clock)
  minute()
  await until(() => told().length === 2)
  await liftHold(dir, 'case-12')
  minute()
  await until(() => told().length === 3)
  expect(told().map((facts) => [facts.hold, facts.change])).toEqual([
    ['old', 'in-force'],
    ['case-12', 'placed'],
    ['case-12', 'lifted'],
  ])
  expect(told()[1]).toMatchObject({ by: 'legal', reason: 'a\\u{1b}[31m', placed: '2026-01-01T00:00:01.000Z' })
  for (const log of told()) expect(logEvents['audit.hold_changed'].fields.log.safeParse(log).error).toBeUndefined()
  await log.close()
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
