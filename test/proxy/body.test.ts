// The body of a request: every copy has all of it, whatever was read before, and nothing is kept beyond its bound.
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RequestBody } from '../../src/proxy/body.ts'
import { until } from '../support/until.ts'

/** A request whose body comes when the test says so. */
function request(): { readonly message: IncomingMessage; come(chunk: Buffer | null): void } {
  const stream = new Readable({ read: () => undefined, autoDestroy: false })
  const message = Object.assign(stream, { complete: false }) as unknown as IncomingMessage
  return {
    message,
    come(chunk) {
      stream.push(chunk)
      if (chunk === null) message.complete = true
    },
  }
}

interface Read {
  readonly copy: Readable
  readonly text: () => string
  readonly ended: () => boolean
}

function read(copy: Readable): Read {
  let text = ''
  let ended = false
  copy.on('error', () => undefined)
  copy.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  copy.on('end', () => {
    ended = true
  })
  return { copy, text: () => text, ended: () => ended }
}

const chunksOf = (sizes: readonly number[]): Buffer[] =>
  sizes.map((size, i) => Buffer.alloc(size, String.fromCharCode(97 + (i % 26))))

describe('copies that follow each other', () => {
  it('each have the whole, as long as all that was read is kept', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.array(fc.nat(12), { maxLength: 4 }), fc.nat(1500), async (given, ends, bound) => {
        const chunks = chunksOf(given)
        const { message, come } = request()
        const body = new RequestBody(message, bound)
        let current = read(body.copy())
        let came = 0
        let whole = true
        const later = [...ends].sort((a, b) => a - b)
        for (let i = 0; i < chunks.length && whole; i++) {
          while (later[0] === i && whole) {
            later.shift()
            current.copy.destroy()
            whole = body.replayable
            expect(whole).toBe(came === 0 || came <= bound)
            if (whole) current = read(body.copy())
          }
          if (!whole) break
          come(chunks[i]!)
          came += chunks[i]!.length
          await until(() => current.text().length === came)
        }
        expect(body.size).toBe(came)
        if (!whole) return
        come(null)
        await until(current.ended)
        expect(current.text()).toBe(Buffer.concat(chunks).toString('latin1'))
        expect(body.whole).toBe(bound > 0 && came <= bound)
      }),
      { numRuns: 100, seed: 17 },
    )
  })
})

describe('copies side by side', () => {
  it('each have the whole, once it is kept', async () => {
    const { message, come } = request()
    const body = new RequestBody(message, 1000)
    const first = read(body.copy())
    come(Buffer.from('one '))
    await until(() => first.text() === 'one ')
    expect(body.whole).toBe(false)
    come(Buffer.from('two'))
    come(null)
    await until(first.ended)
    expect(body.whole).toBe(true)
    const others = [read(body.copy()), read(body.copy())]
    await until(() => others.every(({ ended }) => ended()))
    expect(others.map(({ text }) => text())).toEqual(['one two', 'one two'])
  })

  it('leave what still comes to the latest, also when one before it asks for more', async () => {
    const { message, come } = request()
    const body = new RequestBody(message, 1_000_000)
    const stalled = body.copy()
    const parts = ['a', 'b', 'c'].map((letter) => letter.repeat(100_000))
    // More than it takes unread: it asks again once somebody reads it.
    stalled.read(0)
    come(Buffer.from(parts[0]!))
    await until(() => stalled.readableLength === 100_000)
    const latest = read(body.copy())
    await until(() => latest.text() === parts[0])
    const overtaken = read(stalled)
    await until(() => overtaken.text() === parts[0])
    come(Buffer.from(parts[1]!))
    come(Buffer.from(parts[2]!))
    come(null)
    await until(latest.ended)
    expect(latest.text()).toBe(parts.join(''))
    expect([overtaken.text(), overtaken.ended()]).toEqual([parts[0], false])
  })
})

describe('what is kept', () => {
  it('is given up once it is freed, but for what a copy has still to send', async () => {
    const { message, come } = request()
    const body = new RequestBody(message, 1000)
    const first = read(body.copy())
    come(Buffer.from('one '))
    await until(() => first.text() === 'one ')
    first.copy.destroy()
    const second = body.copy()
    body.free()
    expect([body.replayable, body.whole]).toEqual([false, false])
    const reading = read(second)
    come(Buffer.from('two'))
    come(null)
    await until(reading.ended)
    expect(reading.text()).toBe('one two')
  })

  it('is nothing where the bound is 0', async () => {
    const { message, come } = request()
    const body = new RequestBody(message, 0)
    expect(body.replayable).toBe(true)
    const first = read(body.copy())
    come(Buffer.from('one'))
    await until(() => first.text() === 'one')
    expect(body.replayable).toBe(false)
  })
})

describe('a client that leaves within its request', () => {
  it('leaves nothing that could be sent again, and an error to who reads it', async () => {
    const { message, come } = request()
    const body = new RequestBody(message, 1000)
    const first = read(body.copy())
    let error: Error | undefined
    first.copy.on('error', (given) => {
      error = given
    })
    come(Buffer.from('one'))
    await until(() => first.text() === 'one')
    message.emit('close')
    await until(() => error !== undefined)
    expect(error?.message).toBe('the client left within its request')
    expect(body.replayable).toBe(false)
  })
})

describe('a body that is closed', () => {
  it('leaves the request alone, also when it is closed again', () => {
    const { message } = request()
    const body = new RequestBody(message, 1000)
    read(body.copy())
    body.close()
    message.resume()
    body.close()
    expect(message.isPaused()).toBe(false)
    expect(message.listenerCount('data')).toBe(0)
  })
})
