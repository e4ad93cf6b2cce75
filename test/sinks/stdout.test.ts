// stdoutSink in a process of its own.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { canonical } from '../../src/canonical.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'
import { bundle, start } from '../support/program.ts'

let program: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  program = await bundle('test/support/stdout-program.ts')
})
afterAll(() => program.remove())

it('writes one line of canonical JSON for each event when nobody reads it on a terminal', async () => {
  const { code, stdout, stderr } = await start(program.path, 'auto', '50').ended
  expect([code, stderr]).toEqual([0, 'undelivered 0\n'])
  const lines = stdout.split('\n').slice(0, -1)
  const events = lines.map((line) => JSON.parse(line))
  lines.forEach((line, i) => {
    expect(canonical(events[i])).toBe(line)
  })
  expect(events.filter(({ event_name }) => event_name === 'app.x').map(({ app }) => app.i)).toEqual(
    Array.from({ length: 50 }, (_, i) => i),
  )
  expect(events.map(({ event_name }) => event_name)).toContain('audit.closed')
})

it('writes a short text for each event where that is asked for', async () => {
  const { code, stdout } = await start(program.path, 'readable', '3').ended
  expect(code).toBe(0)
  const lines = stdout.split('\n').slice(0, -1)
  expect(lines.length).toBeGreaterThanOrEqual(4)
  for (const line of lines) expect(() => JSON.parse(line)).toThrow()
  expect(lines.filter((line) => line.includes('app.x'))).toHaveLength(3)
})

it('a reader that goes away does not end the process; what it did not get is counted', async () => {
  const { child, ended } = start(program.path, 'json', '5000')
  child.stdout!.destroy()
  const { code, stderr } = await ended
  expect(code).toBe(0)
  expect(stderr).toMatch(/an audit sink fails/)
  expect(Number(/undelivered (\d+)/.exec(stderr)![1])).toBeGreaterThan(0)
})

it('refuses options that it does not know', () => {
  expect(() => stdoutSink({ format: 'yaml' } as never)).toThrow(
    /format: expected "auto" or "json" or "readable", got "yaml"/,
  )
})
