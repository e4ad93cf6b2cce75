// The folder keeps its budget, and what is left still verifies.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'

function bytesBelow(dir: string): number {
  return readdirSync(dir, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(dir, entry.name)
    return sum + (entry.isDirectory() ? bytesBelow(path) : statSync(path).size)
  }, 0)
}

const firstOf = (dir: string, log: string) =>
  Number(
    readdirSync(join(dir, 'a', log, 'segments'))
      .sort()[0]!
      .slice(0, 16),
  )

it('deletes the oldest traffic first, and control only when nothing else is left', async () => {
  const dir = tempFolder()
  const maxBytes = 1_000_000
  const text = 'x'.repeat(1000)
  const log = await openLog({ dir, instance: 'a', maxBytes })
  await log.sink.durable('control', log.write('control', 100, { text }))
  await log.sink.durable('security', log.write('security', 100, { text }))
  for (let round = 0; round < 20; round++) {
    await log.sink.durable('traffic', log.write('traffic', 100, { text }))
    expect(bytesBelow(join(dir, 'a'))).toBeLessThan(maxBytes)
  }
  await log.close()
  expect(firstOf(dir, 'traffic')).toBeGreaterThan(0)
  expect([firstOf(dir, 'security'), firstOf(dir, 'control')]).toEqual([0, 0])
  const report = await verifyLog(dir)
  expect(report.ok).toBe(true)
  const traffic = report.instances[0]!.logs[0]!
  expect(traffic).toMatchObject({ signed: 2000, pruned: firstOf(dir, 'traffic') })
  const pruned = log.notices.filter((notice) => notice.event === 'audit.pruned')
  expect(pruned[0]).toMatchObject({ log: 'traffic', facts: { first: 0, bytes: expect.any(Number) } })
  expect(pruned.at(-1)?.facts.last).toBe(traffic.pruned - 1)

  const again = await openLog({ dir, instance: 'a', maxBytes })
  expect(again.opened.heads.traffic.next).toBe(2000)
  await again.sink.durable('control', again.write('control', 2000, { text }))
  await again.close()
  expect(firstOf(dir, 'control')).toBeGreaterThan(0)
  expect((await verifyLog(dir)).ok).toBe(true)
})
