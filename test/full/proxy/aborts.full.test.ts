// Ten thousand aborted requests leave nothing: no socket, no timer, no memory, and each that became a request has its line.
import { expect, it } from 'vitest'
import { bundle, start } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'
import { transports } from '../../support/transports.ts'

it.each(transports)('leave nothing behind: %s', async (transport) => {
  const { path, remove } = await bundle('test/support/aborts-program.ts')
  try {
    const program = start(path, ['--expose-gc'], String(scaled(10_000, 2000)), transport)
    const report = JSON.parse(await program.said('report ')) as Record<string, number> & { results: object }
    process.stdout.write(`${transport}: ${JSON.stringify(report)}\n`)
    // The timer is that of the log's pulse.
    expect(report).toMatchObject({ sockets: 0, timers: 1, inFlight: 0, records: report.reached })
    expect(report.reached).toBeGreaterThan(scaled(5000, 1000))
    expect(Object.keys(report.results).sort()).toEqual(['client-gone', 'ok'])
    expect(report.grown).toBeLessThan(5_000_000)
  } finally {
    remove()
  }
})
