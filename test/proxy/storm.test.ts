// Retries, hedges, timeouts and clients that leave, all at once: each request has one record, and nothing is left over.
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { below, seededRandom } from '../../src/random.ts'
import { httpBackend } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { until } from '../support/until.ts'

const requests = 400

it('records each of 400 requests once, and gives back every backend that it took', async () => {
  const random = seededRandom(19)
  const backends = await Promise.all(
    Array.from({ length: 5 }, () =>
      httpBackend((request, response) => {
        request.on('error', () => undefined)
        const fate = below(random, 10)
        if (fate === 0) return request.socket.resetAndDestroy()
        if (fate === 1) return
        if (fate === 2) return void response.writeHead(503, { 'retry-after': '1' }).end('busy')
        if (fate === 3) return void response.write('cut', () => request.socket.resetAndDestroy())
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('end', () => response.end(Buffer.concat(chunks)))
      }),
    ),
  )
  const { port, completions, balancer } = await edge(backends, {
    strategy: 'power-of-two',
    health: { passive: false },
    retry: { statuses: [503], retries: 3, bodyBytes: 3000, budget: { percent: 100, minPerSecond: 100 } },
    hedge: { delayMs: 3, max: 2 },
    // Long enough that a busy machine answers most of them in time.
    timeouts: { tryMs: 400, totalMs: 1000 },
  })
  const answers: { readonly text: string; readonly sent: string; readonly left: boolean }[] = []
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const sent = below(random, 2) === 0 ? '' : 'b'.repeat(below(random, 6000))
      const leaves = below(random, 5) === 0
      const socket = connect(port, '127.0.0.1')
      let text = ''
      socket.setEncoding('latin1')
      socket.on('data', (chunk: string) => {
        text += chunk
      })
      socket.on('error', () => undefined)
      socket.on('close', () => {
        answers.push({ text, sent, left: leaves })
        resolve()
      })
      const head = `PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${sent.length}\r\n\r\n`
      socket.write(head + sent, () => {
        if (leaves) void until(() => completions().length > 0).then(() => socket.destroy())
      })
    })
  for (let done = 0; done < requests; done += 40) await Promise.all(Array.from({ length: 40 }, one))
  await until(() => balancer.snapshot().inFlight === 0)
  expect(balancer.snapshot().backends.map(({ inFlight }) => inFlight)).toEqual([0, 0, 0, 0, 0])
  const ids = new Set(completions().map(({ lb }) => lb.request_id))
  expect(ids.size).toBe(completions().length)
  // A client that leaves at once may never have become a request.
  expect(completions().length).toBeLessThanOrEqual(requests)
  expect(completions().length).toBeGreaterThanOrEqual(answers.filter(({ left }) => !left).length)
  for (const { lb } of completions()) {
    const tried = lb.attempts.map(({ backend }) => backend)
    expect(new Set(tried).size).toBe(tried.length)
    if (lb.result === 'ok') expect(lb.attempts.map(({ result }) => result)).toContain('ok')
  }
  // A response with a length was not cut: it has the body of its own request, whole, and of one backend.
  const whole = answers.filter(({ text, left }) => !left && /^HTTP\/1\.1 200 [\s\S]*content-length/i.test(text))
  expect(whole.length).toBeGreaterThan(requests / 4)
  for (const { text, sent } of whole) expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(sent)
  const results = new Set(completions().flatMap(({ lb }) => lb.attempts.map(({ result }) => result)))
  for (const result of ['ok', 'backend-reset', 'hedge-lost', 'client-gone'] as const) expect(results).toContain(result)
})
