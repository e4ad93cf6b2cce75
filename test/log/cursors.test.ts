// Cursors that are not as they were left: a sink then gets lines twice, rather than not at all.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { tempFolder } from '../support/folder.ts'
import { collect, keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

it.each([
  ['is empty', (path: string) => writeFileSync(path, '')],
  ['is none', (path: string) => writeFileSync(path, '{"logs":{"traffic":{"next":-1}}}')],
  [
    'cannot be read',
    (path: string) => {
      rmSync(path)
      mkdirSync(path)
    },
  ],
])('a sink that is known gets all that the log has where its cursor %s', async (_name, spoil) => {
  const dir = tempFolder()
  const logger = keepLogger()
  const open = (sink = collect()) => ({
    sink,
    audit: createAudit({ sinks: [fileSink({ dir, instance: 'a' }), sink], logger }),
  })
  const before = open()
  before.audit.record('app.x', { i: 0 })
  await until(() => before.sink.events('app.x').length === 1)
  await before.audit.close()
  const cursors = join(dir, 'a/cursors')
  spoil(join(cursors, readdirSync(cursors)[0]!))
  const after = open()
  after.audit.record('app.x', { i: 1 })
  await until(() => after.sink.events('app.x').length === 2)
  expect(after.sink.events('app.x').map(({ app }) => app.i)).toEqual([0, 1])
  expect(JSON.stringify(logger)).toContain('kept')
  await after.audit.close()
})
