// stdoutSink in a process of its own.
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { canonical } from '../../src/canonical.ts'
import { stdout } from '../../src/runtime.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { bundle, start } from '../support/program.ts'
import { keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'

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

it('a reader that stalls gets nothing twice; a write that failed is made again', async () => {
  const writes: { text: string; back: (error?: Error) => void }[] = []
  const spy = vi.spyOn(stdout, 'write').mockImplementation(((text: string, back: () => void) => {
    writes.push({ text, back })
    return false
  }) as never)
  try {
    const clock = fakeClock()
    const logger = keepLogger()
    const audit = createAudit({ sinks: [stdoutSink({ format: 'json' })], clock, logger, random: { uint32: () => 0 } })
    await audit.ready()
    clock.advance(50)
    await until(() => writes.length === 1)
    for (let i = 0; i < 5; i++) {
      const { timers } = clock
      clock.advance(10_000)
      await until(() => clock.timers >= timers || writes.length > 1)
    }
    expect(logger.told[0]!.fields.error).toBe('no answer within 10000 ms')
    expect(writes).toHaveLength(1)
    writes[0]!.back(new Error('EPIPE'))
    await until(() => {
      clock.advance(50)
      return writes.length === 2
    })
    expect(writes[1]!.text).toBe(writes[0]!.text)
    writes[1]!.back()
    await until(() => {
      clock.advance(50)
      return writes.length === 3
    })
    expect(writes[2]!.text).toContain('audit.sink_changed')
  } finally {
    spy.mockRestore()
  }
})
