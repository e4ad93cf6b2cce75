// How soon the other side learns that one has gone: a cut within 50 ms, in every framing; a cancel within 100 ms, in every phase.
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { halfResponses, rawBackend } from '../../support/backends.ts'
import { edge } from '../../support/edge.ts'
import { asking, switched } from '../../support/switching.ts'
import { hopBy, transports } from '../../support/transports.ts'
import { until } from '../../support/until.ts'

const rounds = 40

/**
 * A clock of the time in which this process has run, in ms: a turn counts for 10 ms at most. What it was kept from running
 * for says nothing of the product, which would wait by turns.
 */
function running(): () => number {
  let [sum, last, over] = [0, performance.now(), false]
  const ran = (): number => {
    const now = performance.now()
    sum += Math.min(now - last, 10)
    last = now
    return sum
  }
  const turn = (): void => {
    ran()
    if (!over) setImmediate(turn)
  }
  turn()
  onTestFinished(() => {
    over = true
  })
  return ran
}

interface Client {
  readonly socket: Socket
  readonly text: () => string
  /** When the connection ended, and how. */
  readonly ended: Promise<{ at: number; reset: boolean }>
}

async function client(ran: () => number, port: number, request: string): Promise<Client> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let text = ''
  let reset = false
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => {
    reset = true
  })
  const ended = new Promise<{ at: number; reset: boolean }>((resolve) =>
    socket.on('close', () => resolve({ at: ran(), reset })),
  )
  await new Promise<void>((resolve) => socket.on('connect', resolve))
  socket.write(request)
  return { socket, text: () => text, ended }
}

describe.each(transports)('by %s', (transport) => {
  describe('a backend that is cut off within its response', () => {
    for (const [framing, half] of Object.entries(halfResponses)) {
      for (const ending of ['fin', 'reset'] as const) {
        // An orderly end is the end of a body that is delimited by it.
        if (framing === 'close-delimited' && ending === 'fin') continue
        it(`resets its client within 50 ms: ${framing}, ${ending}`, async () => {
          const [took, ran]: [number[], () => number] = [[], running()]
          const backend = await rawBackend((socket) => socket.write(half))
          const { port, completed } = await edge([backend], { ...hopBy(transport), health: { passive: false } })
          for (let i = 0; i < rounds; i++) {
            const { text, ended } = await client(ran, port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
            await until(() => text().includes('half.'))
            const at = ran()
            for (const socket of backend.sockets) ending === 'fin' ? socket.end() : socket.resetAndDestroy()
            const end = await ended
            expect(end.reset).toBe(true)
            took.push(end.at - at)
          }
          process.stdout.write(`cut, ${transport}, ${framing}, ${ending}: at most ${Math.max(...took).toFixed(1)} ms\n`)
          expect(Math.max(...took)).toBeLessThan(50)
          for (const { lb } of await completed(rounds)) expect(lb.result).toBe('backend-cut')
        })
      }
    }
  })

  describe('a client that leaves', () => {
    const phases: Record<string, { request: string; answer: string; seen: string }> = {
      'before the response, without a body': { request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', answer: '', seen: '' },
      'within its own body': {
        request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.',
        answer: '',
        seen: '',
      },
      'within the response': {
        request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
        answer: halfResponses['content-length'],
        seen: 'half.',
      },
      'after its body, before the response': {
        request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody',
        answer: '',
        seen: '',
      },
    }
    for (const [phase, { request, answer, seen }] of Object.entries(phases)) {
      it(`takes its backend request with it within 100 ms: ${phase}`, async () => {
        const [took, ran]: [number[], () => number] = [[], running()]
        const backend = await rawBackend((socket) => {
          if (answer !== '') socket.write(answer)
        })
        const { port, completed } = await edge([backend], { ...hopBy(transport), health: { passive: false } })
        for (let i = 0; i < rounds; i++) {
          const { socket, text } = await client(ran, port, request)
          await until(() => backend.sockets.size === 1 && backend.received[i] !== undefined && text().includes(seen))
          await until(() => backend.received[i]!.includes('\r\n\r\n'))
          const [upstream] = backend.sockets
          const closed = new Promise<number>((resolve) => upstream!.on('close', () => resolve(ran())))
          const at = ran()
          i % 2 === 0 ? socket.destroy() : socket.resetAndDestroy()
          took.push((await closed) - at)
        }
        process.stdout.write(`cancel, ${transport}, ${phase}: at most ${Math.max(...took).toFixed(1)} ms\n`)
        expect(Math.max(...took)).toBeLessThan(100)
        for (const { lb } of await completed(rounds)) expect(lb.result).toBe('client-gone')
      })
    }

    const asked: Record<string, string> = { 'before the switch': '', 'within the tunnel': `${switched('chat')}half.` }
    for (const [phase, answer] of Object.entries(asked)) {
      it(`takes the backend’s side of its upgrade with it within 100 ms: ${phase}`, async () => {
        const [took, ran]: [number[], () => number] = [[], running()]
        const backend = await rawBackend((socket) => {
          if (answer !== '') socket.write(answer)
        })
        const { port, completed } = await edge([backend], { ...hopBy(transport), health: { passive: false } })
        for (let i = 0; i < rounds; i++) {
          const { socket, text } = await client(ran, port, asking())
          await until(() => backend.received[i]?.includes('\r\n\r\n') === true)
          await until(() => answer === '' || text().includes('half.'))
          const [upstream] = backend.sockets
          const closed = new Promise<number>((resolve) => upstream!.on('close', () => resolve(ran())))
          const at = ran()
          // A tunnel whose client ends in order waits for its backend.
          i % 2 === 0 && answer === '' ? socket.destroy() : socket.resetAndDestroy()
          took.push((await closed) - at)
        }
        process.stdout.write(`cancel, ${transport}, ${phase}: at most ${Math.max(...took).toFixed(1)} ms\n`)
        expect(Math.max(...took)).toBeLessThan(100)
        for (const { lb } of await completed(rounds)) expect(lb.result).toBe('client-gone')
      })
    }
  })
})
