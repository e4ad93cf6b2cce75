// The transport in force: the option, and how it is changed while requests are under way.
import type { Http2ServerResponse } from 'node:http2'
import { expect, it } from 'vitest'
import { answering, http2Backend, httpBackend } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const actor = { id: 'test', type: 'system' } as const

it('a change of the transport is met by requests from then on; those under way finish, and their connections close', async () => {
  let answer: (() => void) | undefined
  const backend = await httpBackend((request, response) => {
    if (request.url === '/slow') answer = () => void response.end('slow')
    else response.end('ok')
  })
  const { port, balancer, completed } = await edge([backend], { retry: { retries: 0 } })
  const ops = balancer.as(actor)
  const slow = send(port, { path: '/slow' })
  await until(() => answer !== undefined)
  let running = true
  let sent = 0
  const traffic = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (running) {
        expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
        sent++
      }
    }),
  )
  for (const transport of ['http', 'undici', 'http'] as const) {
    const before = sent
    await ops.update({ transport })
    await until(() => sent > before + 8)
  }
  running = false
  await traffic
  answer!()
  expect(await slow).toMatchObject({ body: 'slow' })
  const events = await completed(sent + 1)
  expect(new Set(events.map(({ lb }) => lb.result))).toEqual(new Set(['ok']))
  const open = backend.sockets.size
  await ops.update({ transport: 'undici' })
  await until(() => backend.sockets.size < open || open === 0)
  await until(() => backend.sockets.size === 0)
})

it('HTTP/2 carries what a client of HTTP/1.1 sends, and what it gets', async () => {
  const backend = await http2Backend((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.writeHead(200, { 'X-Version': request.httpVersion, 'Set-Cookie': ['a=1', 'b=2'] })
      response.write(Buffer.concat(chunks))
      response.addTrailers({ 'X-Sum': 'abc' })
      response.end()
    })
  })
  const { port, completed } = await edge([backend], { transport: 'http2' })
  const headers = ['Transfer-Encoding', 'chunked', 'TE', 'trailers', 'Connection', 'TE']
  const reply = await send(port, { method: 'POST', headers, body: 'a body' })
  expect(reply).toMatchObject({ status: 200, reason: 'OK', body: 'a body', complete: true })
  expect(reply.headers).toMatchObject({ 'x-version': '2.0', 'set-cookie': ['a=1', 'b=2'] })
  expect(reply.trailers).toEqual(['x-sum', 'abc'])
  expect(await send(port, { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
  const events = await completed(2)
  expect(events.map(({ lb }) => [lb.result, lb.attempts[0]!.reused])).toEqual([
    ['ok', false],
    ['ok', true],
  ])
  expect(backend.accepted()).toBe(1)
})

it('a backend that speaks HTTP/1.1 only fails under HTTP/2 with the reason in the record', async () => {
  const backend = await answering()
  const { port, one } = await edge([backend], { transport: 'http2' })
  expect(await send(port, { method: 'POST', body: 'x' })).toMatchObject({ status: 502 })
  const { lb } = await one()
  expect(lb.result).toBe('connect-failed')
  expect(lb.detail).toMatch(/HTTP\/2/)
  expect(backend.seen).toEqual([])
})

it('a response that HTTP/2 cuts off cuts the client off', async () => {
  const backend = await http2Backend((_request, response) => {
    response.writeHead(200)
    response.write('half.', () => void (response as unknown as Http2ServerResponse).stream.destroy(new Error('boom')))
  })
  const { port, one } = await edge([backend], { transport: 'http2' })
  expect(await send(port)).toMatchObject({ status: 200, complete: false })
  expect(await one()).toMatchObject({ lb: { result: 'backend-cut', ended_by: 'backend' } })
})
