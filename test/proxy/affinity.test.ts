// Affinity over the hop: who answers a client is told to it by a cookie, and nobody else is.
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/adapters/node.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { answering, httpBackend, refusing, saying } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { type Edge, edge, recorded } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { type Reply, rawClient, type SendOptions, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const secret = 'a secret of sixteen or more characters'
const affinity = { cookie: { secret } }
const ours = /^lb=[\w-]{12}\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/

/** Answers with its name. */
const named = (name: string) => answering((response) => response.end(name))

/** Reads each request, and answers when the test says so. */
async function waiting() {
  const responses: ServerResponse[] = []
  const backend = await answering((response) => void responses.push(response))
  return { ...backend, responses, asked: (count = 1) => responses.length >= count }
}

const cookiesOf = (reply: Reply): string[] => valuesOf(reply.rawHeaders, 'set-cookie')
const sending = (reply: Reply): SendOptions => ({ headers: ['Cookie', cookiesOf(reply).at(-1)!.split(';')[0]!] })
const idOf = ({ port }: { port: number }): string => `127.0.0.1:${port}`
const stickies = (e: Edge): (string | undefined)[] => e.completions().map(({ lb }) => lb.decision?.sticky)
const reply = (status: number, ...fields: string[]): string =>
  [`HTTP/1.1 ${status} X`, ...fields, 'Content-Length: 2', '', 'ok'].join('\r\n')

describe('the cookie in a response', () => {
  it('binds a new client, and is not said again', async () => {
    const backends = [await named('a'), await named('b'), await named('c')]
    const e = await edge(backends, { affinity, strategy: 'round-robin' })
    const first = await send(e.port)
    expect(cookiesOf(first)).toEqual([expect.stringMatching(ours)])
    for (let i = 0; i < 6; i++) {
      const again = await send(e.port, sending(first))
      expect([again.body, cookiesOf(again)]).toEqual([first.body, []])
    }
    await e.completed(7)
    expect(stickies(e)).toEqual(['sticky-new', ...Array(6).fill('sticky-kept')])
  })

  it('stands beside those of the backend, in a response of any status, to HEAD and to HTTP/1.0', async () => {
    const set = ['Set-Cookie: a=1; Path=/', 'set-cookie: lb=theirs']
    for (const status of [200, 302, 404, 500]) {
      const e = await edge([await saying(reply(status, ...set))], { affinity })
      expect(cookiesOf(await send(e.port))).toEqual(['a=1; Path=/', 'lb=theirs', expect.stringMatching(ours)])
    }
    const e = await edge([await named('a')], { affinity })
    expect(cookiesOf(await send(e.port, { method: 'HEAD' }))).toHaveLength(1)
    const client = await rawClient(e.port, 'GET / HTTP/1.0\r\n\r\n')
    await client.ended
    expect(client.text()).toMatch(/\r\nset-cookie: lb=/)
    await e.completed(2)
  })

  it('is in no response of 1xx, and in none of our own', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    const e = await edge([await saying(`${early}${reply(200)}`)], { affinity })
    const client = await rawClient(e.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await client.ended
    const [hints, head] = client.text().split('\r\n\r\n') as [string, string]
    expect(hints).toMatch(/^HTTP\/1\.1 103 /)
    expect(hints).not.toMatch(/set-cookie/i)
    expect(head).toMatch(/\r\nset-cookie: lb=/)
    const down = await edge([await refusing()], { affinity })
    const failed = await send(down.port)
    expect([failed.status, cookiesOf(failed)]).toEqual([502, []])
  })

  it('says nothing without affinity, and nothing where that is by key', async () => {
    for (const given of [{}, { affinity: { key: 'client' } } as const])
      expect(cookiesOf(await send((await edge([await named('a')], given)).port))).toEqual([])
  })
})

describe('shared caches', () => {
  it.each([
    ['nothing', [], ['private']],
    ['that all may store it', ['Cache-Control: public, max-age=60'], ['public, max-age=60', 'private']],
    ['that only one field is private', ['Cache-Control: private="x-a"'], ['private="x-a"', 'private']],
    ['private', ['cache-control: Private, max-age=60'], ['Private, max-age=60']],
    [
      'in two lines that nobody may',
      ['Cache-Control: max-age=0', 'Cache-Control: no-store'],
      ['max-age=0', 'no-store'],
    ],
  ])('store none that has the cookie, where the backend says %s', async (_, fields, expected) => {
    const e = await edge([await saying(reply(200, ...fields))], { affinity })
    const first = await send(e.port)
    expect(valuesOf(first.rawHeaders, 'cache-control')).toEqual(expected)
    const again = await send(e.port, sending(first))
    expect(valuesOf(again.rawHeaders, 'cache-control')).toEqual(expected.filter((value) => value !== 'private'))
  })

  it('are told so beside what the host said', async () => {
    const record = recorded({ backends: [await named('a')], affinity })
    const server = createServer(record.balancer)
    server.prependListener('request', (_, response) => response.setHeader('Cache-Control', 'max-age=60'))
    closeAfterTest(server)
    const { rawHeaders } = await send(await listen(server))
    expect(valuesOf(rawHeaders, 'cache-control')).toEqual(['max-age=60', 'private'])
    await record.one()
  })
})

describe('the cookie in a request', () => {
  it.each([
    ['lb=x', []],
    ['lb=x; lb=y', []],
    ['a=1; lb=x; b="2"', ['a=1; b="2"']],
    ['lb=x;a=1', ['a=1']],
    ['a=1; xlb=2; lbx=3; b=lb=4', ['a=1; xlb=2; lbx=3; b=lb=4']],
  ])('%s goes to no backend, and all others do', async (cookie, expected) => {
    const backend = await answering()
    const e = await edge([backend], { affinity })
    await send(e.port, { headers: ['Cookie', cookie] })
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'cookie')).toEqual(expected)
  })

  it('goes on where it is a key, and without affinity', async () => {
    for (const given of [{}, { affinity: { key: { cookie: 'lb' } } }]) {
      const backend = await answering()
      await send((await edge([backend], given)).port, { headers: ['Cookie', 'lb=x; a=1'] })
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'cookie')).toEqual(['lb=x; a=1'])
    }
  })

  it('is not in the record, and neither is the one in the response', async () => {
    const e = await edge([await named('a')], { affinity })
    const first = await send(e.port)
    await send(e.port, sending(first))
    await e.completed(2)
    const value = cookiesOf(first)[0]!.slice(3, 38)
    expect(JSON.stringify(e.events)).not.toContain(value.slice(0, 12))
    expect(e.completions()[1]!.http.request.header).toMatchObject({ cookie: { length: 38 } })
  })
})

describe('a retry', () => {
  it('binds the client to the one that answers: one cookie, and the old backend is lost', async () => {
    const [one, two] = [await named('one'), await named('two')]
    const both = await edge([one, two], { affinity })
    const first = await send(both.port)
    expect(first.body).toBe('one')
    const gone = await edge([{ url: (await refusing()).url, options: { id: idOf(one) } }, two], { affinity })
    const moved = await send(gone.port, sending(first))
    expect([moved.body, cookiesOf(moved)]).toEqual(['two', [expect.stringMatching(ours)]])
    expect((await gone.one()).lb).toMatchObject({
      attempts: [{ backend: idOf(one), reason: 'sticky', result: 'connect-refused' }, { backend: idOf(two) }],
      decision: { backend: idOf(two), retry: 1, sticky: 'sticky-lost' },
    })
    expect(await send(both.port, sending(moved))).toMatchObject({ body: 'two' })
  })

  it('binds a new client to the one that answers', async () => {
    const [down, two] = [await refusing(), await named('two')]
    for (const given of [affinity, { key: 'client' } as const]) {
      const e = await edge([down, two], { affinity: given })
      const first = await send(e.port)
      const again = await send(e.port, cookiesOf(first).length === 0 ? {} : sending(first))
      expect([first.body, again.body]).toEqual(['two', 'two'])
      await e.completed(2)
      expect(stickies(e)).toEqual(['sticky-new', 'sticky-kept'])
    }
  })

  it('that brings nothing better leaves the client with the one whose response was set aside', async () => {
    const [busy, down] = [await saying(reply(503)), await refusing()]
    for (const given of [affinity, { key: 'client' } as const]) {
      const e = await edge([busy, down], { affinity: given, retry: { statuses: [503] } })
      const first = await send(e.port)
      expect([first.status, cookiesOf(first).length]).toEqual([503, given === affinity ? 1 : 0])
      // Bound by now, and not moved by retries in vain.
      for (let i = 0; i < 2; i++) {
        const again = await send(e.port, given === affinity ? sending(first) : {})
        expect([again.status, cookiesOf(again)]).toEqual([503, []])
      }
      await e.completed(3)
      expect(e.completions().map(({ lb }) => [lb.decision?.backend, lb.attempts.length, lb.decision?.sticky])).toEqual([
        [idOf(busy), 2, 'sticky-new'],
        [idOf(busy), 2, 'sticky-kept'],
        [idOf(busy), 2, 'sticky-kept'],
      ])
    }
  })
})

describe('a hedge', () => {
  const hedge = { delayMs: 100 }
  const racing = async (given: BalancerOptions['affinity']) => {
    const clock = fakeClock()
    const [one, two] = [await waiting(), await waiting()]
    const e = await edge([one, two], { clock, hedge, affinity: given })
    /** Lets a request be hedged, and the given side answer it. */
    const race = async (winner: typeof one, options: SendOptions = {}): Promise<Reply> => {
      const [before, beside] = [one.responses.length, two.responses.length]
      const reply = send(e.port, options)
      await until(() => one.asked(before + 1))
      clock.advance(100)
      await until(() => two.asked(beside + 1))
      winner.responses.at(-1)!.end(idOf(winner))
      return await reply
    }
    return { e, one, two, race }
  }

  it.each(['one', 'two'] as const)('binds a new client to the winner, here %s', async (name) => {
    for (const given of [affinity, { key: 'client' } as const]) {
      const { e, race, ...sides } = await racing(given)
      const first = await race(sides[name])
      expect(cookiesOf(first)).toHaveLength(given === affinity ? 1 : 0)
      const again = send(e.port, given === affinity ? sending(first) : {})
      await until(() => sides[name].asked(2))
      sides[name].responses[1]!.end()
      expect(cookiesOf(await again)).toEqual([])
      await e.completed(2)
      expect(stickies(e)).toEqual(['sticky-new', 'sticky-kept'])
    }
  })

  it('that wins does not move a client that was bound', async () => {
    for (const given of [affinity, { key: 'client' } as const]) {
      const { e, one, two, race } = await racing(given)
      const first = await race(one)
      const options = given === affinity ? sending(first) : {}
      const second = await race(two, options)
      expect([second.body, cookiesOf(second)]).toEqual([idOf(two), []])
      const third = send(e.port, options)
      await until(() => one.asked(3))
      one.responses[2]!.end('home')
      expect(await third).toMatchObject({ body: 'home' })
      await e.completed(3)
      expect(stickies(e)).toEqual(['sticky-new', 'sticky-kept', 'sticky-kept'])
    }
  })
})

it('by key, what a new client sends at once goes to one backend', async () => {
  const backends = await Promise.all([waiting(), waiting(), waiting()])
  const e = await edge(backends, { affinity: { key: { header: 'x-user' } }, strategy: 'round-robin' })
  const replies = Array.from({ length: 6 }, () => send(e.port, { headers: ['X-User', 'ann'] }))
  await until(() => backends.some((backend) => backend.asked(6)))
  for (const { responses } of backends) for (const response of responses) response.end()
  await Promise.all(replies)
  expect(backends.map(({ responses }) => responses.length).sort()).toEqual([0, 0, 6])
  await e.completed(6)
})

describe('a bound client whose backend is full', () => {
  const full = async (given: object = {}) => {
    const [one, two] = [await waiting(), await named('two')]
    const e = await edge([{ url: one.url, options: { maxInFlight: 1 } }, two], {
      affinity,
      queue: { timeoutMs: 60_000 },
      ...given,
    })
    const opened = send(e.port)
    await until(() => one.asked())
    one.responses[0]!.end('one')
    const first = await opened
    const inFlight = (): number => e.balancer.snapshot().inFlight
    await until(() => inFlight() === 0)
    /** Takes up all the room that the backend of the client has. */
    const taken = send(e.port, sending(first))
    await until(() => one.asked(2))
    return { e, one, two, taken, inFlight, options: sending(first), ops: e.balancer.as({ id: 'ops', type: 'user' }) }
  }

  it.each([
    ['', {}],
    [', draining too', { drains: true }],
    [', of weight 0 too', { weightless: true }],
  ])('waits for it%s, though another is free, and is served by it', async (_, how: object) => {
    const { e, one, taken, inFlight, options, ops } = await full()
    if ('drains' in how) await ops.drain(idOf(one))
    if ('weightless' in how) await ops.setWeight(idOf(one), 0)
    const bound = send(e.port, options)
    await until(() => inFlight() === 2)
    expect(await send(e.port)).toMatchObject({ body: 'two' })
    expect([inFlight(), one.responses.length]).toEqual([2, 2])
    one.responses[1]!.end()
    await until(() => one.asked(3))
    one.responses[2]!.end('one')
    const reply = await bound
    expect([reply.body, cookiesOf(reply)]).toEqual(['one', []])
    await taken
    const records = await e.completed(4)
    expect(records.at(-1)!.lb).toMatchObject({ decision: { reason: 'sticky', sticky: 'sticky-kept' } })
    expect(records.at(-1)!.lb.timing.queue_us).toBeGreaterThan(0)
  })

  it('is seated when the limit of one that drains is raised, though nobody is a candidate', async () => {
    const { e, one, taken, inFlight, options, ops } = await full()
    await ops.drain(idOf(one))
    const bound = send(e.port, options)
    await until(() => inFlight() === 2)
    await ops.update({ backends: [{ url: one.url, maxInFlight: 2 }] })
    await until(() => one.asked(3))
    expect(e.balancer.snapshot().backends).toMatchObject([{ admin: 'draining', inFlight: 2 }])
    for (const response of one.responses.slice(1)) response.end('one')
    expect([(await taken).body, (await bound).body]).toEqual(['one', 'one'])
    await e.completed(3)
  })

  it('moves when it is lost meanwhile', async () => {
    const { e, one, taken, inFlight, options, ops } = await full()
    const bound = send(e.port, options)
    await until(() => inFlight() === 2)
    await ops.disable(idOf(one))
    const reply = await bound
    expect([reply.body, cookiesOf(reply)]).toEqual(['two', [expect.stringMatching(ours)]])
    expect(await taken).toMatchObject({ body: 'two' })
    await e.completed(3)
    expect(stickies(e).slice(1)).toEqual(['sticky-lost', 'sticky-lost'])
  })

  it('is refused when its time is over, with the reason', async () => {
    const clock = fakeClock()
    const { e, one, taken, inFlight, options, ops } = await full({ clock, queue: { timeoutMs: 500 } })
    await ops.drain(idOf(one))
    const bound = send(e.port, options)
    await until(() => inFlight() === 2)
    clock.advance(500)
    expect(await bound).toMatchObject({ status: 503 })
    one.responses[1]!.end()
    await taken
    const record = (await e.completed(3)).find(({ lb }) => lb.result === 'capacity-timeout')!
    expect(record.lb.decision).toMatchObject({
      excluded: [{ backend: idOf(one), reason: 'at-capacity' }],
      reason: 'none-eligible',
      sticky: 'sticky-kept',
    })
  })
})

it('counts a client whose key function throws as one without a key', async () => {
  const backend = await httpBackend((_, response) => response.end('ok'))
  const key = (): string => {
    throw new Error('no key today')
  }
  const e = await edge([backend], { affinity: { key } })
  expect(await send(e.port)).toMatchObject({ status: 200 })
  await e.one()
})
