// syslogSink against receivers of our own, which take frames apart and go away.
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SyslogSinkOptions, syslogSink } from '../../src/index.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { fedInTime } from '../support/collector.ts'
import { batchOf, sample } from '../support/sample-events.ts'
import { type Authority, authority } from '../support/tls.ts'
import { until } from '../support/until.ts'

/** Takes frames by octet counting, and keeps the lines. */
function receiver(server: Server = createServer(), event = 'connection') {
  const lines: string[] = []
  const sockets: Socket[] = []
  server.on(event, (socket: Socket) => {
    sockets.push(socket)
    let rest = Buffer.alloc(0)
    socket.on('error', () => undefined)
    socket.on('data', (part) => {
      rest = Buffer.concat([rest, part])
      for (;;) {
        const head = /^(\d+) /.exec(rest.subarray(0, 10).toString('latin1'))
        if (head === null || rest.length < head[0].length + Number(head[1])) return
        const end = head[0].length + Number(head[1])
        lines.push(
          rest
            .subarray(head[0].length, end)
            .toString('utf8')
            .replace(/^(\S+ ){7}/, ''),
        )
        rest = rest.subarray(end)
      }
    })
  })
  closeAfterTest(server)
  return { lines, server, sockets }
}

async function shipping(options: Partial<SyslogSinkOptions> = {}, made = receiver()) {
  const port = await listen(made.server)
  const sink = syslogSink({ host: '127.0.0.1', port, ...options })
  return { sink, port, ...made, ...(await fedInTime(sink)) }
}
const batch = (first: number, last: number, origin?: string) =>
  batchOf(
    Array.from({ length: last - first + 1 }, () => sample('request.completed')),
    first,
    origin,
  )

it('each line arrives whole, once, in order, over one connection', async () => {
  const { lines, sink, sockets, write } = await shipping()
  const batches = [batch(0, 9), batch(10, 99), batch(0, 5, 'demo/host-1.0/control/1')]
  for (const one of batches) expect(await write(one)).toBeUndefined()
  await sink.close!()
  const expected = batches.flatMap((one) => one.lines)
  await until(() => lines.length === expected.length)
  expect(lines).toEqual(expected)
  expect(sockets).toHaveLength(1)
})

it('the longest line arrives whole', async () => {
  const { lines, write } = await shipping()
  const made = batchOf([{ ...sample('app.shelved'), app: { text: '' } }])
  const app = { text: `${'é'.repeat(1000)}${'x'.repeat(65_535 - made.bytes + 1 - 2000)}` }
  const long = batchOf([{ ...sample('app.shelved'), app }])
  expect(Buffer.byteLength(long.lines[0]!)).toBe(65_535)
  expect(await write(long)).toBeUndefined()
  await until(() => lines.length === 1)
  expect(lines).toEqual(long.lines)
})

it('a receiver that is not there is tried again with the next write', async () => {
  const { lines, port, server, write } = await shipping()
  await new Promise((resolve) => server.close(resolve))
  expect(await write(batch(0, 1))).toMatchObject({ code: 'ECONNREFUSED' })
  await listen(server, port)
  expect(await write(batch(0, 1))).toBeUndefined()
  await until(() => lines.length === 2)
})

it('a receiver that takes nothing is left when the signal says so, and the lines come again on a new connection', async () => {
  const { lines, sockets, server, write } = await shipping()
  server.prependListener('connection', (socket: Socket) => {
    if (sockets.length === 0) queueMicrotask(() => socket.pause())
  })
  // More than the buffers of both ends take.
  const large = batchOf(
    Array.from({ length: 300 }, () => ({ ...sample('app.shelved'), app: { text: 'x'.repeat(60_000) } })),
  )
  const controller = new AbortController()
  const writing = write(large, controller.signal)
  await until(() => sockets.length === 1)
  controller.abort()
  expect((await writing).message).toBe('the receiver did not take it in time')
  expect(await write(large)).toBeUndefined()
  await until(() => lines.length === 300)
  expect(lines).toEqual(large.lines)
  expect(sockets).toHaveLength(2)
})

describe('a connection that breaks', () => {
  /** The receiver closes, and the sink has seen that: only then does the socket close. */
  const gone = async (sockets: Socket[]): Promise<void> => {
    const closed = new Promise((resolve) => sockets.at(-1)!.on('close', resolve))
    sockets.at(-1)!.end()
    await closed
  }
  /** Breaks after so long. One batch is older than the others by 400 ms. */
  const broken = async (afterMs: number) => {
    const made = await shipping()
    const { clock, lines, sockets, write } = made
    await write(batch(0, 4))
    clock.advance(400)
    await write(batch(5, 9))
    await write(batch(0, 2, 'demo/host-1.0/control/1'))
    clock.advance(afterMs)
    await until(() => lines.length === 13)
    await gone(sockets)
    return made
  }
  it('is told, and what it took in the last 5 s is asked for again, as often as that happens', async () => {
    const { lines, sockets, write } = await broken(4999)
    for (let end = 10; end < 14; end++) {
      const before = lines.length
      const fault = await write(batch(end, end))
      expect([fault.message, fault.resumeAt]).toEqual([expect.stringContaining('the connection broke'), undefined])
      expect(await write(batch(end, end))).toMatchObject({ resumeAt: 5 })
      expect(await write(batch(5, end))).toBeUndefined()
      await until(() => lines.length === before + end - 4)
      await gone(sockets)
    }
  })

  it('has each log asked for from where it was', async () => {
    const { lines, write } = await broken(4999)
    expect((await write(batch(10, 10))).resumeAt).toBeUndefined()
    expect(await write(batch(10, 10))).toMatchObject({ resumeAt: 5 })
    expect(await write(batch(3, 3, 'demo/host-1.0/control/1'))).toMatchObject({ resumeAt: 0 })
    // Where those lines are gone it goes on with what there is.
    expect(await write(batch(3, 3, 'demo/host-1.0/control/1'))).toBeUndefined()
    await until(() => lines.length === 14)
  })

  it('asks for nothing that it took before, and tells of nothing', async () => {
    const { write } = await broken(5000)
    expect(await write(batch(10, 10))).toBeUndefined()
  })

  it('counts nothing as taken before the next one has stood for 5 s', async () => {
    const { clock, lines, sockets, write, writeAtOnce } = await broken(4999)
    for (let i = 0; i < 2; i++) await write(batch(10, 10))
    for (let i = 0; i < 2; i++) {
      const before = lines.length
      const writing = writeAtOnce(batch(5, 10))
      await until(() => lines.length === before + 6 && clock.timers > 0)
      clock.advance(4999)
      await gone(sockets)
      expect((await writing).message).toBe('the receiver closed the connection')
    }
    const startedUs = clock.monoUs()
    expect(await write(batch(5, 10))).toBeUndefined()
    expect(clock.monoUs() - startedUs).toBe(5_000_000)
    // Once that has stood, nothing waits.
    expect(await writeAtOnce(batch(11, 11))).toBeUndefined()
  })

  it('takes nothing with it if it never stood for 1 s', async () => {
    const { clock, lines, sockets, write, writeAtOnce } = await shipping()
    const writing = writeAtOnce(batch(0, 4))
    await until(() => lines.length === 5 && clock.timers > 0)
    clock.advance(999)
    await gone(sockets)
    expect((await writing).message).toBe('the receiver closed the connection')
    const startedUs = clock.monoUs()
    expect(await write(batch(0, 4))).toBeUndefined()
    expect(clock.monoUs() - startedUs).toBe(1_000_000)
  })

  it('is waited for no longer than half of what a write may take', async () => {
    const { clock, write } = await shipping({ timeoutMs: 400 })
    expect(await write(batch(0, 4))).toBeUndefined()
    expect(clock.monoUs()).toBe(200_000)
  })
})

describe('over TLS', () => {
  let known: Authority
  beforeAll(() => {
    known = authority()
  })
  afterAll(() => known.remove())
  const secured = (options: Partial<SyslogSinkOptions>, names = 'IP:127.0.0.1') =>
    shipping(
      { transport: 'tls', ...options },
      receiver(
        createTlsServer({ ...known.issue(names), ca: known.cert, requestCert: true, rejectUnauthorized: false }),
        'secureConnection',
      ),
    )

  it('lines arrive at a receiver whose certificate is trusted, and at no other', async () => {
    const { lines, write } = await secured({ tls: { ca: known.cert } })
    expect(await write(batch(0, 4))).toBeUndefined()
    await until(() => lines.length === 5)
    expect(lines).toEqual(batch(0, 4).lines)
    expect(await (await secured({})).write(batch(0, 1))).toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' })
    const other = await secured({ tls: { ca: known.cert } }, 'DNS:elsewhere')
    expect(await other.write(batch(0, 1))).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    const named = await secured({ tls: { ca: known.cert }, serverName: 'elsewhere' }, 'DNS:elsewhere')
    expect(await named.write(batch(0, 1))).toBeUndefined()
  })

  it('shows a certificate of its own', async () => {
    const { sockets, write } = await secured({ tls: { ca: known.cert, ...known.issue('DNS:sender') } })
    expect(await write(batch(0, 1))).toBeUndefined()
    await until(() => sockets.length === 1)
    expect(sockets[0]).toMatchObject({ authorized: true })
  })
})

it('says which options are wrong', () => {
  const wrong = { host: '', port: 0, transport: 'udp', facility: 'kernel', appName: 'a b', enterprise: 0, from: 'then' }
  expect(() => syslogSink(wrong as never)).toThrow(
    new RegExp(
      [
        'host: expected text that is not empty, got empty text',
        'port: expected at least 1, got 0',
        'transport: expected "tcp" or "tls", got "udp"',
        'facility: expected "user" or .* "local7", got "kernel"',
        'appName: expected 1 to 48 printable characters of ASCII without spaces, got "a b"',
        'enterprise: expected at least 1, got 0',
        'from: expected "now" or "oldest", got "then"',
      ].join('\n.*'),
    ),
  )
  expect(() => syslogSink({ host: 'h', serverName: 'x' })).toThrow(/serverName: expected only with transport 'tls'/)
})
