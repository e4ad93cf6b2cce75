// The command as a process: exit codes reach the shell, and a reader that leaves is no fault.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { bundle, start } from '../support/program.ts'

let program: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  program = await bundle('src/cli/main.ts')
}, 60_000)
afterAll(() => program.remove())

async function folder(lines: number): Promise<string> {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  log.write('traffic', lines, { text: 'x'.repeat(100) })
  await log.close()
  return dir
}

it.each([
  [['--version'], 0],
  [['verify', '/no/such/folder'], 2],
])('%j ends with %i', async (args, code) => {
  expect((await start(program.path, ...args).ended).code).toBe(code)
})

it('verify of a folder ends with 0', async () => {
  expect(await start(program.path, 'verify', await folder(10)).ended).toMatchObject({ code: 0, stderr: '' })
})

it('query ends quietly when its reader leaves', async () => {
  const { child, said, ended } = start(program.path, 'query', await folder(20_000))
  await said('2026')
  child.stdout?.destroy()
  expect(await ended).toMatchObject({ code: 0, stderr: '' })
})
