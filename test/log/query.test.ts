// A query finds what its filters say, in the order of time, over all instances and logs.
import { describe, expect, it } from 'vitest'
import type { Json } from '../../src/canonical.ts'
import type { LoggedEvent } from '../../src/log/envelope.ts'
import { type LogFilters, logFilterSchema } from '../../src/log/filters.ts'
import { queryLog } from '../../src/log/query.ts'
import type { LogName } from '../../src/sink.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString()
const request = (n: number, fields: Record<string, Json> = {}) => ({
  n,
  time: at(n),
  event_name: 'request.completed',
  ...fields,
})

const events: [instance: string, log: LogName, event: Record<string, Json>][] = [
  ['a', 'control', { n: 0, time: at(0), event_name: 'balancer.started', lb: { pool: 'edge', config_revision: 1 } }],
  [
    'a',
    'traffic',
    request(1, {
      client: { address: '203.0.113.9' },
      http: { response: { status_code: 200 } },
      lb: { attempts: [{ backend: 'b1' }], config_revision: 1, pool: 'edge', request_id: 'r1', result: 'ok' },
      url: { path: '/api/users' },
    }),
  ],
  [
    'b',
    'traffic',
    request(2, { http: { response: { status_code: 503 } }, network: { peer: { address: '10.1.2.3' } } }),
  ],
  ['a', 'control', { n: 3, time: at(3), event_name: 'config.changed', actor: { id: 'bot' }, config: { revision: 2 } }],
  ['b', 'control', { n: 4, time: at(4), event_name: 'backend.health_changed', backend: { id: 'b1' } }],
  [
    'b',
    'traffic',
    request(5, {
      client: { address: '2001:db8::7' },
      http: { response: { status_code: 502 } },
      lb: { attempts: [{ backend: 'b2' }], decision: { backend: 'b2' }, pool: 'pay', result: 'connect-refused' },
      url: { path: '/api', original_path: '/shop/api' },
    }),
  ],
  ['a', 'security', { n: 6, time: at(6), event_name: 'access.denied', client: { address: '203.0.113.200' } }],
  ['a', 'control', { n: 7, time: at(7), event_name: 'audit.rotated' }],
  ['b', 'traffic', { n: 8, time: at(8), event_name: 'health.summary', lb: { backends: [{ id: 'b2' }, { id: 'b3' }] } }],
]

async function folder(): Promise<string> {
  const dir = tempFolder()
  for (const instance of ['a', 'b']) {
    const log = await openLog({ dir, instance, segment: { maxBytes: 400 } })
    for (const [owner, name, event] of events) if (owner === instance) log.write(name, 1, event)
    await log.close()
  }
  return dir
}

async function numbers(dir: string, filters: LogFilters = {}): Promise<unknown[]> {
  const found: LoggedEvent[] = []
  const clock = fakeClock(Date.UTC(2026, 0, 1, 0, 10))
  for await (const event of queryLog(dir, filters, clock)) found.push(event)
  return found.map((event) => event.n)
}

const cases: [LogFilters, number[]][] = [
  [{}, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  [{ limit: 3 }, [0, 1, 2]],
  [{ type: 'request.completed' }, [1, 2, 5]],
  [{ type: 'audit.*' }, [7]],
  [{ type: 'a*' }, [6, 7]],
  [{ type: 'app.mine' }, []],
  [{ log: 'security' }, [6]],
  [{ log: 'traffic', limit: 2 }, [1, 2]],
  [{ last: 1 }, [8]],
  [{ last: 3 }, [6, 7, 8]],
  [{ last: 9 }, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  [{ last: 10_000 }, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  [{ log: 'traffic', last: 2 }, [5, 8]],
  [{ since: at(5) }, [5, 6, 7, 8]],
  [{ until: at(2) }, [0, 1]],
  [{ since: '6m', until: '4m' }, [4, 5]],
  [{ since: '1h' }, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  [{ backend: 'b1' }, [1, 4]],
  [{ backend: 'b2' }, [5, 8]],
  [{ backend: 'b3' }, [8]],
  [{ status: '503' }, [2]],
  [{ status: '5xx' }, [2, 5]],
  [{ client: '203.0.113.9' }, [1]],
  [{ client: '203.0.113.0/24' }, [1, 6]],
  [{ client: '10.0.0.0/8' }, [2]],
  [{ client: '2001:db8::/32' }, [5]],
  [{ path: '/api' }, [5]],
  [{ path: '/api*' }, [1, 5]],
  [{ path: '/shop/api' }, [5]],
  [{ path: '/shop/*' }, [5]],
  [{ path: '/shop' }, []],
  [{ actor: 'bot' }, [3]],
  [{ requestId: 'r1' }, [1]],
  [{ revision: 1 }, [0, 1]],
  [{ revision: 2 }, [3]],
  [{ result: 'connect-refused' }, [5]],
  [{ pool: 'edge' }, [0, 1]],
  [{ pool: 'edge', type: 'request.completed' }, [1]],
  [{ pool: 'no"such' }, []],
]

it.each(cases)('%j', async (filters, expected) => {
  expect(await numbers(await folder(), filters)).toEqual(expected)
})

it('every filter has a case', () => {
  const tried = new Set(cases.flatMap(([filters]) => Object.keys(filters)))
  expect([...tried].sort()).toEqual(Object.keys(logFilterSchema.shape).sort())
})

describe('filters that are not valid', () => {
  it('are all named', async () => {
    const filters = {
      since: 'yesterday',
      status: '6xx',
      client: '1.2.3.4/33',
      limit: 0,
      revision: -1,
      other: 1,
    } as LogFilters
    await expect(numbers(tempFolder(), filters)).rejects.toMatchObject({
      code: 'config-invalid',
      problems: ['since', 'status', 'client', 'revision', 'limit', 'other'].map((path) =>
        expect.objectContaining({ path }),
      ),
    })
  })

  it.each([
    [{ type: 'request.complete' }, 'type', 'there is no event "request.complete"; the nearest is "request.completed"'],
    [{ type: 'adit.*' }, 'type', 'there is no event "adit.*"; the nearest is "audit.*"'],
    [{ log: 'trafic' }, 'log', 'there is no log "trafic"; the nearest is "traffic"'],
    [{ log: 5 }, 'log', 'expected text, got 5'],
    [{ last: 3, limit: 3 }, 'last', 'expected nothing, with a limit'],
    [{ last: 10_001 }, 'last', 'expected at most 10000, got 10001'],
    [{ lsat: 3 }, 'lsat', 'unknown option; the nearest is "last"'],
    [{ result: 'conect-refused' }, 'result', 'there is no result "conect-refused"; the nearest is "connect-refused"'],
  ])('%j names the nearest that there is', async (filters, path, message) => {
    await expect(numbers(tempFolder(), filters as LogFilters)).rejects.toMatchObject({
      code: 'config-invalid',
      problems: [{ path, message }],
    })
  })

  it.each(['type', 'result'])('a %s of any length is refused in a short message', async (name) => {
    const refused = numbers(tempFolder(), { [name]: 'x'.repeat(100_000) })
    await expect(refused).rejects.toMatchObject({ code: 'config-invalid', problems: [{ path: name }] })
    await expect(refused).rejects.toSatisfy(({ message }: Error) => message.length < 500)
  })

  it('so is a folder without a log', async () => {
    await expect(numbers(tempFolder())).rejects.toMatchObject({ code: 'log-invalid' })
  })
})

it('keeps the order of a log whose clock stepped back', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  for (const minute of [5, 1, 6]) log.write('traffic', 1, { n: minute, time: at(minute) })
  await log.close()
  expect(await numbers(dir)).toEqual([5, 1, 6])
})

it('merges a log whose first event is a late one, and holds back no log that is in order', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  // As `audit.opened` stands before what happened while the log was being opened.
  for (const minute of [4, 1, 2, 7]) log.write('control', 1, { n: minute, time: at(minute) })
  for (const minute of [3, 5, 6, 7]) log.write('traffic', 1, { n: 10 + minute, time: at(minute) })
  for (const minute of [0, 7, 8]) log.write('security', 1, { n: 20 + minute, time: at(minute) })
  await log.close()
  expect(await numbers(dir)).toEqual([20, 13, 4, 1, 2, 15, 16, 17, 27, 7, 28])
})

describe('by time', () => {
  it('finds what is in a segment before later ones that begin long before, since the clock was set back', async () => {
    const dir = tempFolder()
    const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 400 } })
    for (let n = 0; n < 3; n++) log.write('traffic', 1, request(n))
    log.write('traffic', 1, request(10_000))
    for (let n = 4; n < 40; n++) log.write('traffic', 1, request(n))
    await log.close()
    expect(await numbers(dir, { since: at(9000) })).toEqual([10_000])
    expect(await numbers(dir, { since: at(37), until: at(9000) })).toEqual([37, 38, 39])
  })

  it('goes by the time of the event, whatever other times its line has, and however they are written', async () => {
    const dir = tempFolder()
    const log = await openLog({ dir, instance: 'a' })
    const write = (n: number, time: string, fields: Record<string, Json> = {}) =>
      log.write('traffic', 1, { n, event_name: 'app.x', time, ...fields })
    write(1, at(5), { app: { time: at(50) }, user: { time: at(0) } })
    write(2, at(0), { app: { time: at(5) }, user: { time: at(5) } })
    write(3, '2026-01-01T01:06:00+01:00')
    write(4, '2026-01-01T00:05:00Z')
    write(5, 'no time')
    await log.close()
    expect(await numbers(dir, { since: at(5), until: at(7) })).toEqual([1, 3, 4])
    expect(await numbers(dir, { since: '9999999d' })).toEqual([1, 2, 3, 4])
    expect(await numbers(dir, { since: '9999999999999d' })).toEqual([1, 2, 3, 4])
    expect(await numbers(dir, { until: '9999999d' })).toEqual([])
  })
})

it('can be left early', async () => {
  const dir = await folder()
  for await (const event of queryLog(dir)) {
    expect(event.n).toBe(0)
    break
  }
})
