// Retries: what may be sent again goes to a backend that was not tried yet, and the record tells of each attempt.
import { describe, expect, it } from 'vitest'
import { answering, rawBackend, refusing, saying, silent } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { send } from '../support/raw-client.ts'

const bodies = { chunked: ['Transfer-Encoding', 'chunked'], 'with a length': [] }

describe('a GET', () => {
  for (const [name, bad, result] of [
    ['refuses', () => refusing(), 'connect-refused'],
    ['ends the connection before its response', () => silent('fin'), 'backend-reset'],
    ['resets the connection before its response', () => silent('reset'), 'backend-reset'],
    ['does not speak HTTP', () => saying('nonsense\r\n\r\n'), 'response-invalid'],
  ] as const) {
    it(`goes to another backend when the first ${name}`, async () => {
      const [first, second] = [await bad(), await answering()]
      const { port, one } = await edge([first, second])
      expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
      const { lb } = await one()
      expect(lb).toMatchObject({
        result: 'ok',
        attempts: [
          { port: first.port, result, reason: 'custom' },
          { port: second.port, result: 'ok', status_code: 200, reason: 'custom' },
        ],
        decision: {
          backend: `127.0.0.1:${second.port}`,
          excluded: [{ backend: `127.0.0.1:${first.port}`, reason: 'tried' }],
        },
      })
      expect(lb.attempts[0]!.detail).toEqual(expect.any(String))
      expect(second.seen).toHaveLength(1)
    })
  }

  it('is tried as often as is configured, and no backend twice', async () => {
    const bad = await Promise.all([silent('fin'), silent('fin'), silent('fin'), silent('fin')])
    const { port, one } = await edge(bad, { retry: { retries: 2 } })
    expect(await send(port)).toMatchObject({ status: 502 })
    const { lb } = await one()
    expect(lb.attempts.map(({ result }) => result)).toEqual(Array(3).fill('backend-reset'))
    expect(new Set(lb.attempts.map(({ port }) => port)).size).toBe(3)
    expect(bad.map((backend) => backend.accepted()).sort()).toEqual([0, 1, 1, 1])
  })

  it('has the last failure for its answer when nobody is left', async () => {
    const { port, one } = await edge([await refusing(), await silent('fin')])
    expect(await send(port)).toMatchObject({ status: 502 })
    expect((await one()).lb).toMatchObject({
      result: 'backend-reset',
      attempts: [{ result: 'connect-refused' }, { result: 'backend-reset' }],
    })
  })

  it('is not tried again when that is off', async () => {
    const second = await answering()
    const { port, one } = await edge([await refusing(), second], { retry: { retries: 0 } })
    expect(await send(port)).toMatchObject({ status: 502 })
    expect((await one()).lb.attempts).toHaveLength(1)
    expect(second.seen).toEqual([])
  })

  it('is not tried again for the status of a response', async () => {
    const second = await answering()
    const { port, one } = await edge([await saying('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'), second])
    expect(await send(port)).toMatchObject({ status: 503, reason: 'Busy' })
    expect((await one()).lb).toMatchObject({ result: 'ok', attempts: [{ status_code: 503 }] })
  })
})

describe('a POST', () => {
  for (const [framing, headers] of Object.entries(bodies)) {
    it(`is not sent twice once a byte of it was: ${framing}`, async () => {
      const [first, second] = [await silent('fin'), await answering()]
      const { port, one } = await edge([first, second])
      expect(await send(port, { method: 'POST', headers, body: 'once' })).toMatchObject({ status: 502 })
      expect((await one()).lb).toMatchObject({ result: 'backend-reset', attempts: [{ result: 'backend-reset' }] })
      expect(second.seen).toEqual([])
    })

    it(`goes elsewhere with its body intact when the first backend refuses: ${framing}`, async () => {
      const body = 'x'.repeat(300_000)
      const second = await answering()
      const { port, one } = await edge([await refusing(), await refusing(), second])
      expect(await send(port, { method: 'POST', headers, body })).toMatchObject({ status: 200 })
      const event = await one()
      expect(event.lb.attempts.map(({ result }) => result)).toEqual(['connect-refused', 'connect-refused', 'ok'])
      expect(event.http.request.body.size).toBe(300_000)
      expect(second.seen).toHaveLength(1)
      expect(second.seen[0]!.body).toBe(body)
    })
  }

  it('without a body is not sent twice either', async () => {
    const second = await answering()
    const { port } = await edge([await silent('fin'), second])
    expect(await send(port, { method: 'POST', headers: ['Content-Length', '0'] })).toMatchObject({ status: 502 })
    expect(second.seen).toEqual([])
  })
})

describe('a PUT', () => {
  it('whose body was begun is not sent again, for it was not kept', async () => {
    const second = await answering()
    const { port, one } = await edge([await silent('fin'), second])
    expect(await send(port, { method: 'PUT', body: 'once' })).toMatchObject({ status: 502 })
    expect((await one()).lb.attempts).toHaveLength(1)
    expect(second.seen).toEqual([])
  })
})

describe('a request on a connection that went stale', () => {
  it('goes to another backend, and the record tells that the connection was reused', async () => {
    let requests = 0
    // Answers the first request, and closes at the second: as a server does whose keep-alive time is over.
    const stale = await rawBackend((socket) => {
      if (++requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale')
      else socket.end()
    })
    const other = await answering((response) => response.end('other'))
    const { port, completed } = await edge([stale, other])
    const got = [(await send(port)).body, (await send(port)).body, (await send(port)).body]
    expect(got).toEqual(['stale', 'other', 'other'])
    const second = (await completed(3))[1]!
    expect(second.lb.attempts).toMatchObject([{ result: 'backend-reset', reused: true }, { result: 'ok' }])
  })
})
