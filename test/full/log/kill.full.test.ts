// Balancers that are killed at any moment under load: what was answered is in the log, and every start says what it has found.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { queryLog } from '../../../src/log/query.ts'
import { verifyLog } from '../../../src/log/verify.ts'
import { below, seededRandom } from '../../../src/random.ts'
import { logNames } from '../../../src/sink.ts'
import { tempFolder } from '../../support/folder.ts'
import {
  type Killed,
  type Logs,
  load,
  logsOnDisk,
  mixedBackend,
  type Size,
  startKilled,
  told,
} from '../../support/killed-balancer.ts'
import { scaled } from '../../support/scale.ts'

const kills = Number(process.env.AUDITLB_KILLS ?? scaled(200, 6))
/** So many in one folder: each looks at all that is in it. */
const killsPerFolder = scaled(10, 3)
const connections = 12
/** How many are answered before a kill, at most. Those who wait for the disk take longer. */
const mostAnswered = { group: 200, interval: 1000 }
const random = seededRandom(23)

interface Line {
  readonly audit: { readonly origin: string; readonly index: number }
  readonly lb: { readonly request_id: string }
}

const placeOf = ({ audit }: Pick<Line, 'audit'>): string => `${audit.origin}/${audit.index}`

/** That what is in the log of a dead writer is what its next start says of it. */
function expectTold({ heard, listened, before }: Killed): void {
  const opened = heard.find(({ event_name }) => event_name === 'audit.opened')
  // It was killed before.
  if (opened === undefined) return expect(listened).toBe(false)
  for (const log of logNames) {
    const found = before[log]
    const { origin, next } = opened.log.origins[log]
    expect(next).toBe(found?.lines ?? 0)
    const recovered = heard.filter(
      ({ event_name, audit }) => event_name === 'audit.recovered' && audit.origin === origin,
    )
    const facts = {
      ...(found !== undefined && found.lines > found.signed ? { unsigned_lines: found.lines - found.signed } : {}),
      ...(found !== undefined && found.rest > 0 ? { torn_bytes: found.rest } : {}),
    }
    const due = Object.keys(facts).length > 0 ? 1 : 0
    // A kill can come between the one and the other.
    if (listened || due === 0) expect(recovered).toHaveLength(due)
    if (recovered.length > 0) expect(recovered[0].log).toMatchObject(facts)
  }
}

/** Our ids of the requests in a folder, each with its index, by instance. */
async function recorded(dir: string): Promise<Map<string, { instance: string; index: number }>> {
  const found = new Map<string, { instance: string; index: number }>()
  for await (const event of queryLog(dir, { type: 'request.completed' })) {
    const { audit, lb } = event as unknown as Line
    expect(found.has(lb.request_id), `${lb.request_id} twice`).toBe(false)
    found.set(lb.request_id, { instance: audit.origin.split('/')[1]!, index: audit.index })
  }
  return found
}

/** The index behind the last line that is sure to have been written: a look after it saw no call under way. */
function sureEnd({ looks }: Killed): number {
  const quiet = looks.findLastIndex((one) => one.quiet)
  return quiet < 1 ? 0 : looks[quiet - 1]!.last + 1
}

interface Sums {
  killed: number
  answered: number
  missing: number
  mostMissing: number
  /** How long before a kill the first of those that are missing was answered, at most. */
  oldestMs: Record<Size, number>
  unsigned: number
  torn: number
}

async function killOver(
  durability: 'group' | 'interval',
  check: (killed: Killed, found: Awaited<ReturnType<typeof recorded>>) => void,
): Promise<Sums> {
  const { url } = await mixedBackend()
  const sums: Sums = {
    killed: 0,
    answered: 0,
    missing: 0,
    mostMissing: 0,
    oldestMs: { usual: 0, small: 0 },
    unsigned: 0,
    torn: 0,
  }
  for (let folder = 0; sums.killed < kills; folder++) {
    const dir = tempFolder()
    // Now and then several at once.
    const size = folder % 2 === 0 ? 'usual' : 'small'
    const instances = folder % 4 === 1 ? ['a', 'b', 'c'] : ['a']
    const earlier: { killed: Killed; after: Logs }[] = []
    let known = new Set<string>()
    for (let time = 0; time < killsPerFolder && sums.killed < kills; time++) {
      const running = instances.map((one) => startKilled(dir, one, durability, url, size))
      const loads = running.map((one) => load(one, connections, 20 + below(random, mostAnswered[durability])))
      // Now and then while it starts.
      const inStart = time > 0 && below(random, 6) === 0
      if (!inStart) await Promise.all(loads.map(({ enough }) => enough))
      await sleep(below(random, inStart ? 400 : 20))
      const killedAt = performance.now()
      for (const { program } of running) program.child.kill('SIGKILL')
      await Promise.all(loads.map(({ over }) => over))
      for (const one of running) expect(await told(one)).toEqual({ stderr: '' })
      sums.killed += running.length
      const report = await verifyLog(dir)
      expect(report.instances.flatMap(({ logs }) => logs.flatMap(({ problems }) => problems))).toEqual([])
      expect(report.ok).toBe(true)
      expect(report.instances.flatMap(({ aside }) => aside)).toEqual([])
      const found = await recorded(dir)
      for (const id of known) if (!found.has(id)) expect.fail(`${id} was in the log and is not any more`)
      known = new Set(found.keys())
      for (const one of running) {
        expectTold(one)
        const after = logsOnDisk(dir, one.instance)
        earlier.push({ killed: one, after })
        for (const { signed, lines, rest } of Object.values(after)) {
          sums.unsigned += lines - signed
          sums.torn += rest > 0 ? 1 : 0
        }
        check(one, found)
        const answered = one.answered.flat()
        const missing = answered.filter(({ id }) => !found.has(id))
        sums.answered += answered.length
        sums.missing += missing.length
        sums.mostMissing = Math.max(sums.mostMissing, missing.length)
        sums.oldestMs[size] = Math.max(sums.oldestMs[size], ...missing.map(({ at }) => Math.ceil(killedAt - at)))
      }
    }
    process.stdout.write(`${durability}: ${JSON.stringify(sums)}\n`)
    const last = instances.map((one) => startKilled(dir, one, durability, url, size))
    for (const { program } of last) {
      await program.said('listening')
      program.child.stdin!.write('stop\n')
      expect(JSON.parse(await program.said('closed'))).toEqual({ undelivered: {} })
    }
    for (const one of last) {
      expect(await told(one)).toEqual({ stderr: '' })
      expectTold(one)
    }
    const report = await verifyLog(dir)
    expect(report).toMatchObject({ ok: true })
    for (const { logs } of report.instances) for (const log of logs) expect(log.unsigned).toBe(0)
    // What a start said is in the log too, save what its own kill took.
    const events = new Set<string>()
    for await (const event of queryLog(dir)) events.add(placeOf(event as unknown as Line))
    for (const { killed, after } of [
      ...earlier,
      ...last.map((killed) => ({ killed, after: logsOnDisk(dir, killed.instance) })),
    ])
      for (const { audit } of killed.heard) {
        const [, , log] = audit.origin.split('/')
        if (audit.index < (after[log as keyof Logs]?.lines ?? 0)) expect(events).toContain(placeOf({ audit }))
      }
  }
  // The kills came at moments that matter.
  expect(sums.unsigned).toBeGreaterThan(0)
  return sums
}

it(`group, ${kills} kills: all that was answered is in the log, once`, { timeout: 3_000_000 }, async () => {
  await killOver('group', ({ answered }, found) => {
    expect(answered.flat().filter(({ id }) => !found.has(id))).toEqual([])
  })
})

it(`interval, ${kills} kills: what is missing is what came last, and no more than was not yet due`, {
  timeout: 3_000_000,
}, async () => {
  let sure = 0
  await killOver('interval', (killed, found) => {
    const { answered, instance } = killed
    const mine = [...found.values()].filter((one) => one.instance === instance).map(({ index }) => index)
    // Lines come in order: nothing is missing before this one.
    const end = Math.max(-1, ...mine) + 1
    expect(end).toBeGreaterThanOrEqual(sureEnd(killed))
    sure = Math.max(sure, sureEnd(killed))
    for (const connection of answered) {
      const kept = connection.filter(({ id }) => found.has(id))
      expect(kept).toEqual(connection.slice(0, kept.length))
    }
  })
  expect(sure).toBeGreaterThan(0)
})
