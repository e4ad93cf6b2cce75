// Dead letters: each sink has its own, up to a limit of which somebody is told.
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import type { Sink } from '../../src/sink.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { tempFolder } from '../support/folder.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

const most = 64 * 1024 ** 2

/** Refuses what the host records. */
const picky = (name: string): Sink => ({
  name,
  feed: { intervalMs: 1 },
  async write({ lines }) {
    const rejected = lines.map((line) => JSON.parse(line)).filter(({ app }) => app !== undefined)
    if (rejected.length > 0)
      throw Object.assign(new Error('no'), { rejected: rejected.map(({ audit }) => audit.index) })
  },
})

it('of sinks whose names are alike as file names stand apart, and one that is full is told once', async () => {
  const dir = tempFolder()
  const dead = join(dir, 'a', 'dead')
  mkdirSync(dead, { recursive: true })
  writeFileSync(join(dead, 'full.jsonl'), '')
  truncateSync(join(dead, 'full.jsonl'), most)
  const logger = keepLogger()
  const sinks = [fileSink({ dir, instance: 'a' }), picky('full'), picky('a b'), picky('a-b')]
  const audit = createAudit({ sinks, logger })
  const gaps: (string | undefined)[] = []
  audit.on('audit.gap', ({ log }) => gaps.push(log.sink))
  await audit.ready()
  for (let n = 1; n <= 2; n++) {
    audit.record('app.x', { n })
    await until(() => gaps.length === 3 * n)
  }
  await audit.close()
  const files = readdirSync(dead).filter((name) => name !== 'full.jsonl')
  expect(files).toHaveLength(2)
  const sinksIn = (file: string) =>
    readFileSync(join(dead, file), 'utf8')
      .split('\n')
      .filter((text) => text !== '')
      .map((text) => JSON.parse(text).sink)
  expect(files.map(sinksIn).sort()).toEqual([
    ['a b', 'a b'],
    ['a-b', 'a-b'],
  ])
  expect(statSync(join(dead, 'full.jsonl')).size).toBe(most)
  expect(logger.told.filter(({ message }) => message.includes('dead letters'))).toHaveLength(1)
})
