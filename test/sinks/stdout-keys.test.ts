// What stdoutSink writes beside a file sink holds by the key that was kept, whatever keys came after it.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { verifyStream } from '../../src/log/verify-stream.ts'
import { tempFolder } from '../support/folder.ts'
import { newSigner } from '../support/hand-log.ts'
import { bundle, start } from '../support/program.ts'

let program: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  program = await bundle('test/support/stdout-keys-program.ts')
})
afterAll(() => program.remove())

interface Parsed {
  readonly event_name?: string
  readonly audit?: { readonly origin: string; readonly index: number }
  readonly checkpoint?: { readonly origin: string; readonly size: number; readonly vkey: string }
}

async function run(...args: string[]): Promise<{ lines: string[]; vkey: string; items: Parsed[] }> {
  const { code, stdout, stderr } = await start(program.path, ...args).ended
  expect(code).toBe(0)
  const lines = stdout.split('\n').slice(0, -1)
  return { lines, vkey: stderr.trim(), items: lines.map((line) => JSON.parse(line)) }
}

const held = (lines: readonly string[], vkey?: string) =>
  verifyStream([`${lines.join('\n')}\n`], vkey === undefined ? {} : { vkey })
const changesIn = (items: readonly Parsed[]) => items.filter(({ event_name }) => event_name === 'audit.key_rotated')

it('after each rotation of the key', async () => {
  const { lines, vkey, items } = await run(join(tempFolder(), 'audit'))
  const changes = changesIn(items)
  expect(changes).toHaveLength(6)
  for (const { audit } of changes) {
    const handOvers = items.filter(
      ({ checkpoint }) => checkpoint?.origin === audit!.origin && checkpoint.size === audit!.index + 1,
    )
    expect(handOvers).toHaveLength(1)
  }
  expect(await held(lines, vkey)).toMatchObject({ ok: true, authenticated: true })
  expect(await held(lines)).toMatchObject({ ok: true })
  const keys = new Set(items.flatMap(({ checkpoint }) => checkpoint?.vkey ?? []))
  expect(keys.size).toBeGreaterThan(1)
})

it('by the key that certifies another for each start, also where the stream begins with a later one', async () => {
  const folder = tempFolder()
  const pem = join(folder, 'master.pem')
  writeFileSync(pem, newSigner('shop/web').key.export({ type: 'pkcs8', format: 'pem' }))
  for (let i = 0; i < 3; i++) {
    const { lines, vkey, items } = await run(join(folder, 'audit'), pem)
    expect(changesIn(items)).toHaveLength(3)
    const report = await held(lines, vkey)
    expect(report.logs.flatMap(({ problems }) => problems)).toEqual([])
    expect(report.ok).toBe(true)
  }
})

it('also where it gets one of the logs only, for of the others it tells nothing', async () => {
  const { lines, vkey, items } = await run(join(tempFolder(), 'audit'), '', 'control')
  const logs = new Set(items.map(({ audit, checkpoint }) => (audit ?? checkpoint)?.origin.split('/')[2]))
  expect([...logs]).toEqual(['control'])
  expect(await held(lines, vkey)).toMatchObject({ ok: true, authenticated: true })
})

it('where it came once the key was another: of the one before it tells nothing', async () => {
  const { lines, vkey, items } = await run(join(tempFolder(), 'audit'), '', '', 'late')
  expect(new Set(items.flatMap(({ checkpoint }) => checkpoint?.vkey ?? []))).toEqual(new Set([vkey]))
  for (const given of [undefined, vkey]) {
    const report = await held(lines, given)
    expect(report.logs.flatMap(({ problems }) => problems)).toEqual([])
    expect(report.ok).toBe(true)
    expect(report.logs.find(({ origin }) => origin.includes('/traffic/'))).toMatchObject({ lines: 10 })
  }
})
