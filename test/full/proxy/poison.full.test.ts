// A thousand poisoned requests and as many responses: nothing throws, no connection of the pool is lost, each has its line.
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { answering, rawBackend } from '../../support/backends.ts'
import { type Edge, edge } from '../../support/edge.ts'
import { poisonRequests, poisonResponses } from '../../support/poison.ts'
import { send } from '../../support/raw-client.ts'
import { hopBy, transports } from '../../support/transports.ts'
import { until } from '../../support/until.ts'

const slots = 4

/** Sends this and resolves with everything that comes back until the connection closes. */
const exchange = (port: number, text: string): Promise<string> =>
  new Promise((resolve) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from(text, 'latin1')))
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(received))
  })

const inParallel = async <T>(items: readonly T[], work: (item: T, place: number) => Promise<void>): Promise<void> => {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const place = next++
      await work(items[place]!, place)
    }
  }
  await Promise.all(Array.from({ length: 2 * slots }, worker))
}

/** Lines so far: of requests, and of what never became one, where a flood of them shares a line. */
const lines = ({ completions, denials }: Edge): number =>
  completions().length + denials().reduce((sum, { access }) => sum + (access.count ?? 1), 0)

it.each(transports)('requests: %s', { timeout: 120_000 }, async (transport) => {
  let waiting: (() => void)[] = []
  let holds = false
  const backend = await answering((response) => {
    if (holds) waiting.push(() => response.end('held'))
    else response.end('ok')
  })
  const edged = await edge([backend], { ...hopBy(transport), connections: { max: slots, queue: 100 } })
  // A request that expects something comes by an event of its own: as who listens to it takes it over, its events are watched.
  const reached = new Set<unknown>()
  const emit = edged.server.emit.bind(edged.server)
  edged.server.emit = (event: string, ...given: unknown[]) => {
    if (['request', 'checkContinue', 'checkExpectation'].includes(event)) reached.add(given[0])
    return emit(event, ...given)
  }
  const answers: string[] = []
  await inParallel(poisonRequests, async (text, place) => {
    answers[place] = await exchange(edged.port, text)
  })
  expect(poisonRequests.length).toBeGreaterThanOrEqual(1000)
  // Each was answered, by the backend or by us.
  for (const [i, answer] of answers.entries())
    expect(answer, poisonRequests[i]!.slice(0, 200)).toMatch(/^HTTP\/1\.1 [1-5]\d\d/)
  // Every slot still carries a request, all at the same time.
  holds = true
  const replies = Array.from({ length: slots }, () => send(edged.port))
  await until(() => waiting.length === slots)
  for (const answer of waiting) answer()
  waiting = []
  for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200, body: 'held' })
  await edged.balancer.close()
  // One each, and one more of the connection where what is wrong comes behind the head: in a trailer, or after the request.
  expect(edged.completions()).toHaveLength(reached.size)
  expect(lines(edged)).toBeGreaterThanOrEqual(poisonRequests.length + slots)
  expect(edged.completions().map(({ lb }) => lb.result)).not.toContain('internal')
})

it.each(transports)('responses: %s', { timeout: 120_000 }, async (transport) => {
  let poisoned = true
  const held: (() => void)[] = []
  const backend = await rawBackend((socket, head) => {
    const place = Number(/^\w+ \/(\d+)/.exec(head)?.[1])
    const answer = (text: string): void => void socket.write(Buffer.from(text, 'latin1'))
    if (poisoned) answer(poisonResponses[place]!)
    else held.push(() => answer('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld'))
  })
  const edged = await edge([backend], {
    ...hopBy(transport),
    connections: { max: slots, queue: 100 },
    health: { passive: false },
    timeouts: { headerMs: 2000, bodyIdleMs: 2000 },
  })
  expect(poisonResponses.length).toBeGreaterThanOrEqual(1000)
  await inParallel(poisonResponses, async (_, place) => {
    await exchange(edged.port, `GET /${place} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  })
  poisoned = false
  const replies = Array.from({ length: slots }, () => send(edged.port))
  await until(() => held.length === slots)
  for (const answer of held) answer()
  for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200, body: 'held' })
  await edged.balancer.close()
  expect(edged.completions()).toHaveLength(poisonResponses.length + slots)
  const results = new Set(edged.completions().map(({ lb }) => lb.result))
  process.stdout.write(`${transport}: ${[...results].sort().join(', ')}\n`)
  for (const result of results) expect(['ok', 'response-invalid', 'backend-cut', 'body-timeout']).toContain(result)
})
