// A collector that is away for ten minutes while 1,000 events come each second: it gets every one of them, in order, and the process
// that keeps them meanwhile does not grow.
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { verifyLog } from '../../../src/log/verify.ts'
import { tempFolder } from '../../support/folder.ts'
import { bundle, start } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'

const outageSeconds = scaled(600, 20)
const warmSeconds = scaled(60, 10)
const perSecond = 1000
const mostGrowth = 64 * 1024 ** 2
const collectorPath = join(import.meta.dirname, '../../support/collector-program.mjs')

let program: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  program = await bundle(join(import.meta.dirname, '../../support/outage-program.ts'))
})
afterAll(() => program.remove())

interface Line {
  readonly audit: { readonly index: number; readonly origin: string }
  readonly app?: { readonly n: number }
  readonly event_name: string
  readonly log?: { readonly from?: string; readonly to?: string }
}

it('misses nothing, gets all in order, and nobody grows for it', { timeout: 900_000 }, async () => {
  const dir = tempFolder()
  const files = ['before', 'after'].map((name) => join(tempFolder(), name))
  const before = start(collectorPath, files[0]!)
  const port = await before.said('port')
  const trail = start(program.path, ['--expose-gc'], join(dir, 'log'), `http://127.0.0.1:${port}/`)
  await trail.said('ready')
  const order = async (text: string): Promise<number> => {
    trail.child.stdin!.write(`${text}\n`)
    return Number(/over, (\d+) wait/.exec(await trail.said(text.split(' ')[0]!))![1])
  }
  await order(`warm ${warmSeconds}`)
  before.child.kill('SIGKILL')
  await before.ended
  const began = performance.now()
  expect(await order(`outage ${outageSeconds}`)).toBeGreaterThanOrEqual(outageSeconds * perSecond)
  const after = start(collectorPath, files[1]!, port)
  await after.said('port')
  const back = performance.now()
  await order('recover')
  const recovered = performance.now()
  trail.child.stdin!.write('close\n')
  const { n, undelivered, rss } = JSON.parse(await trail.said('closed')) as {
    n: number
    undelivered: object
    rss: { baseline: number; peak: number; floor: number }
  }
  expect(undelivered).toEqual({})

  /** By origin: the index of the last line. */
  const ends = new Map<string, number>()
  const told: string[] = []
  let [orders, again, outOfPlace] = [0, 0, 0]
  for (const file of files) {
    for await (const text of createInterface({ input: createReadStream(file) })) {
      const { audit, app, event_name, log }: Line = JSON.parse(text)
      const end = ends.get(audit.origin) ?? -1
      if (audit.index <= end) {
        again++
        continue
      }
      if (audit.index !== end + 1) outOfPlace++
      ends.set(audit.origin, audit.index)
      if (event_name === 'app.order' && app!.n !== orders++) outOfPlace++
      if (event_name === 'audit.gap') told.push(text)
      if (event_name === 'audit.sink_changed') told.push(`${log!.from} to ${log!.to}`)
    }
  }
  expect([orders, outOfPlace]).toEqual([n, 0])
  expect(told).toEqual(['ok to failing', 'failing to ok'])
  const report = await verifyLog(join(dir, 'log'))
  expect(report.ok).toBe(true)
  const logs = report.instances[0]!.logs
  expect(Object.fromEntries(logs.map(({ origin, lines }) => [origin, lines - 1]))).toEqual(Object.fromEntries(ends))
  const mib = (bytes: number): string => (bytes / 1024 ** 2).toFixed(1)
  console.log(
    `${n} events, ${outageSeconds * perSecond} of them without a collector, in ${Math.round((back - began) / 1000)} s; delivered in ` +
      `${Math.round((recovered - back) / 1000)} s, ${again} lines twice; RSS ${mib(rss.baseline)} MiB, at most ${mib(rss.peak - rss.baseline)} more, ` +
      `${mib(rss.floor - rss.baseline)} after a collection`,
  )
  expect(rss.peak - rss.baseline).toBeLessThan(mostGrowth)
})
