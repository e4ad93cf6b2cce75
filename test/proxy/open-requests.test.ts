// Requests that stay open for long are told of once before they are over.
import { createServer } from 'node:http'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { attach } from '../../src/adapters/node.ts'
import { type OpenRequest, OpenRequests } from '../../src/proxy/open-requests.ts'
import { answering, httpBackend, rawBackend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

it('tells each that was open for 10 s once, whatever came and went beside it', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.constant('add' as const),
          fc.nat(20).map((at) => ({ end: at })),
          fc.nat(4000),
        ),
        {
          maxLength: 120,
        },
      ),
      (steps) => {
        const clock = fakeClock()
        const open = new OpenRequests(clock)
        const model = new Map<OpenRequest, { told: number; over: boolean }>()
        const all: OpenRequest[] = []
        for (const step of steps) {
          if (step === 'add') {
            const one: OpenRequest = {
              startUs: clock.monoUs(),
              older: undefined,
              newer: undefined,
              stillOpen(openUs) {
                expect([openUs, model.get(one)!.over]).toEqual([clock.monoUs() - one.startUs, false])
                expect(openUs).toBeGreaterThanOrEqual(10_000_000)
                model.get(one)!.told++
              },
            }
            model.set(one, { told: 0, over: false })
            all.push(one)
            open.add(one)
          } else if (typeof step === 'number') {
            clock.advance(step)
            for (const [{ startUs }, { told, over }] of model) {
              const age = clock.monoUs() - startUs
              expect(told).toBeLessThanOrEqual(1)
              // Looked for each second.
              if (!over && age >= 11_000_000) expect(told).toBe(1)
              if (age < 10_000_000) expect(told).toBe(0)
            }
          } else if (all[step.end] !== undefined) {
            model.get(all[step.end]!)!.over = true
            open.delete(all[step.end]!)
          }
        }
        expect(clock.timers).toBeLessThanOrEqual(1)
        clock.advance(12_000)
        expect(clock.timers).toBe(0)
      },
    ),
    { numRuns: 200 },
  )
})

it('a response that goes on for long is told of while it does, and completed once', async () => {
  const clock = fakeClock()
  let finish = (): void => undefined
  const backend = await httpBackend((_, response) => {
    response.write('begun')
    finish = () => void response.end()
  })
  const e = await edge([backend], { clock, audit: { clock } })
  const client = await rawClient(e.port, 'GET /events?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\n')
  await client.has('begun')
  const received = () => e.events.filter(({ event_name }) => event_name === 'request.received')
  clock.advance(9_000)
  expect(received()).toEqual([])
  clock.advance(2_000)
  expect(received()).toMatchObject([
    {
      http: { request: { header: { 'user-agent': ['me'] }, method: 'GET' } },
      lb: { open_us: 10_000_000, pool: 'balancer', config_revision: 1 },
      url: { path: '/events', query: { x: { length: 1 } } },
    },
  ])
  clock.advance(60_000)
  finish()
  const { lb } = await e.one()
  expect(received()).toHaveLength(1)
  expect(lb.request_id).toBe(
    (received()[0] as (typeof e.events)[number] & { lb: { request_id: string } }).lb.request_id,
  )
})

it('one that was told of when it came is not told of again', async () => {
  const clock = fakeClock()
  const backend = await rawBackend((socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n'),
  )
  const e = await edge([backend], { clock, audit: { clock } })
  const client = await rawClient(e.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
  await client.has('101')
  clock.advance(30_000)
  client.socket.destroy()
  await e.one()
  expect(e.events.filter(({ event_name }) => event_name === 'request.received')).toMatchObject([{ lb: {} }])
  expect(JSON.stringify(e.events)).not.toContain('open_us')
})

it('one that the host answers by itself is told of too, and not if a balancer has taken it over', async () => {
  const clock = fakeClock()
  const watcher = recorded({ name: 'watcher', backends: [], clock, audit: { clock } })
  const taker = recorded({ name: 'taker', backends: [await answering()], clock, audit: { clock } })
  const waiting: (() => void)[] = []
  const server = createServer((request, response) => {
    if (request.url === '/own') waiting.push(() => void response.end('own'))
    else waiting.push(() => taker.balancer.port.handle(request, response))
  })
  attach(server, watcher.balancer, { auditOnly: true })
  closeAfterTest(server)
  const port = await listen(server)
  const own = send(port, { path: '/own' })
  const taken = send(port, { path: '/taken' })
  await until(() => waiting.length === 2)
  clock.advance(5_000)
  const handOver = watcher.events.length
  waiting[1]!()
  await taken
  clock.advance(7_000)
  waiting[0]!()
  await own
  await watcher.one()
  expect(handOver).toBeGreaterThan(0)
  const told = [...watcher.events, ...taker.events].filter(({ event_name }) => event_name.startsWith('request.'))
  expect(told.map((event) => [event.event_name, (event as never as { url: { path: string } }).url.path])).toEqual([
    ['request.received', '/own'],
    ['request.completed', '/own'],
    ['request.completed', '/taken'],
  ])
})
