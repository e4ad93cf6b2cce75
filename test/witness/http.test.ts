// The HTTP face of a witness: under every server and framework, and against whatever comes.
import { once } from 'node:events'
import { createServer as createPlain } from 'node:http'
import { connect as connect2, createServer as createHttp2 } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { createServer, createWitness } from '../../src/witness/index.ts'
import { expressVersions } from '../support/express.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { tempFolder } from '../support/folder.ts'
import { lineAt } from '../support/log.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'
import { post, SentLog, startWitness, token } from '../support/witness.ts'

async function opened(options: object = {}) {
  const dir = tempFolder()
  const witness = createWitness({
    dir,
    tokens: [token],
    logger: { warn: () => undefined, error: () => undefined },
    ...options,
  })
  onTestFinished(() => witness.close())
  await witness.ready()
  return { dir, witness }
}

async function listening(server: import('node:net').Server): Promise<number> {
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Sends a log to where the witness is mounted, and finds it there. */
async function works(url: string, dir: string): Promise<void> {
  const log = new SentLog(url).make(30)
  const body = gzipSync(log.lines.map((line) => `${line}\n`).join(''))
  const type = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }
  expect((await log.sendBody(0, body, type)).json).toEqual({ size: 30 })
  expect((await log.checkpoint()).status).toBe(200)
  expect((await log.addCheckpoint(30, [], log.note())).status).toBe(200)
  expect((await fetch(`${url}/vkey`)).status).toBe(200)
  expect((await fetch(`${url}/lines`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(405)
  expect(await verifyLog(dir)).toMatchObject({ ok: true, instances: [{ logs: [{ signed: 30 }] }] })
}

describe('a witness works', () => {
  it.each(expressVersions)('below a mount of $name, beside its parsers', async ({ express }) => {
    const { dir, witness } = await opened()
    const app = express()
    app.use(express.json())
    app.use('/central', witness.handler)
    app.use((_request, response) => void response.status(404).send('the app'))
    const port = await listening(createPlain(app))
    await works(`http://127.0.0.1:${port}/central`, dir)
    expect(await (await fetch(`http://127.0.0.1:${port}/central/none`)).text()).toBe('the app')
  })

  it.each(expressVersions)('behind a parser of $name that reads bytes', async ({ express }) => {
    const { dir, witness } = await opened()
    const app = express()
    app.use(express.raw({ type: () => true }))
    app.use(witness.handler)
    await works(`http://127.0.0.1:${await listening(createPlain(app))}`, dir)
  })

  it('not behind a parser that keeps nothing of the body: that is said', async () => {
    const { witness } = await opened()
    const server = createPlain((request, response) => {
      request.resume().on('end', () => witness.handler(request, response))
    })
    const log = new SentLog(`http://127.0.0.1:${await listening(server)}`).make(1)
    expect(await log.send()).toMatchObject({
      status: 400,
      json: { message: expect.stringContaining('mount it before') },
    })
  })

  it.each(versions)('below a prefix of Fastify %d', async (_, make) => {
    const { dir, witness } = await opened()
    const app = make()
    app.get('/', async () => 'the app')
    app.register(witness.fastify, { prefix: '/central' })
    const port = await serveApp(app)
    await works(`http://127.0.0.1:${port}/central`, dir)
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('the app')
    expect((await fetch(`http://127.0.0.1:${port}/central/none`)).status).toBe(404)
  })

  it('over HTTP/2', async () => {
    const { witness, dir } = await opened()
    const port = await listening(createHttp2(witness.handler as never))
    const client = connect2(`http://127.0.0.1:${port}`)
    onTestFinished(() => client.close())
    const log = new SentLog('').make(20)
    const send = async (path: string, headers: object, body: string) => {
      const stream = client.request({ ':method': 'POST', ':path': path, authorization: `Bearer ${token}`, ...headers })
      stream.end(body)
      const [head] = (await once(stream, 'response')) as [{ ':status': number }]
      let text = ''
      for await (const chunk of stream.setEncoding('utf8')) text += chunk
      return [head[':status'], text]
    }
    const place = { 'auditlb-origin': log.origin, 'auditlb-first': '0' }
    expect(await send('/lines', place, log.lines.map((line) => `${line}\n`).join(''))).toEqual([200, '{"size":20}\n'])
    expect((await send('/checkpoint', { ...place, 'auditlb-vkey': log.signer.vkey }, log.note()))[0]).toBe(200)
    expect((await send('/lines', { ...place, authorization: 'Bearer x' }, 'x'))[0]).toBe(401)
    expect((await verifyLog(dir)).ok).toBe(true)
  })

  it('over TLS, by a server of its own', async () => {
    const { witness } = await opened()
    const { key, cert } = selfSigned()
    const server = createServer(witness, { key, cert })
    const port = await listening(server)
    const { request } = await import('node:https')
    const status = await new Promise((resolve, reject) => {
      request({ port, host: '127.0.0.1', path: '/vkey', rejectUnauthorized: false }, (response) =>
        resolve(response.resume().statusCode),
      )
        .on('error', reject)
        .end()
    })
    expect(status).toBe(200)
  })
})

describe('what is hostile', () => {
  const place = { 'auditlb-origin': 'shop/host.0/traffic/00aa', 'auditlb-first': '0' }

  it.each([
    ['an origin that is a path', 400, { ...place, 'auditlb-origin': '../../etc/traffic/00aa' }, 'x\n'],
    ['an origin of dots', 400, { ...place, 'auditlb-origin': '../../traffic/..' }, 'x\n'],
    ['an origin that is too long', 400, { ...place, 'auditlb-origin': `shop/${'x'.repeat(200)}/traffic/00aa` }, 'x\n'],
    ['an origin of no log', 400, { ...place, 'auditlb-origin': 'shop/host.0/other/00aa' }, 'x\n'],
    ['a log that was set aside', 400, { ...place, 'auditlb-origin': 'shop/control.aside-1/traffic/00aa' }, 'x\n'],
    ['no origin', 400, { 'auditlb-first': '0' }, 'x\n'],
    ['an index below zero', 400, { ...place, 'auditlb-first': '-1' }, 'x\n'],
    ['an index beyond all', 400, { ...place, 'auditlb-first': '9999999999999999' }, 'x\n'],
    ['no line end', 400, place, 'x'],
    ['no body', 400, place, ''],
    ['a line that is too long', 400, place, `${'x'.repeat(65_536)}\n`],
    ['another compression', 415, { ...place, 'content-encoding': 'br' }, 'x\n'],
    ['what is not gzip', 400, { ...place, 'content-encoding': 'gzip' }, 'nonsense\n'],
    ['gzip that is cut off', 400, { ...place, 'content-encoding': 'gzip' }, gzipSync('x\n').subarray(0, 15)],
    ['a body that is too large', 413, place, 'x\n'.repeat(70_000)],
    ['a bomb', 413, { ...place, 'content-encoding': 'gzip' }, gzipSync(Buffer.alloc(50_000_000))],
    ['more refused lines than may be', 422, place, 'x\n'.repeat(17)],
  ])('is refused: %s', async (_, status, headers, body) => {
    const { url, witness } = await startWitness({ dir: tempFolder(), limits: { bodyBytes: 128 * 1024 } })
    expect((await post(`${url}/lines`, headers as Record<string, string>, body)).status).toBe(status)
    expect(witness.roster().origins).toEqual({})
    // It still works.
    expect((await new SentLog(url).make(1).send()).status).toBe(200)
  })

  it('does not wait for a body that does not come, or not on', async () => {
    const clock = fakeClock()
    const { url } = await startWitness({ dir: tempFolder(), clock })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    const headers = Object.entries({ ...place, authorization: `Bearer ${token}`, 'content-length': '100' })
    socket.write(
      `POST /lines HTTP/1.1\r\nhost: x\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\nx`,
    )
    await until(() => {
      if (clock.timers > 2) clock.advance(30_000)
      return text !== ''
    })
    expect(text).toMatch(/^HTTP\/1\.1 408 /)
    await once(socket, 'close')
  })

  it('of strangers, however slow and many, keep no writer out', async () => {
    const { url } = await startWitness({ dir: tempFolder(), limits: { requests: 16 } })
    const { port } = new URL(url)
    const slow = Array.from({ length: 20 }, () => {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
      onTestFinished(() => void socket.destroy())
      socket.write('POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx')
      return new Promise<void>((resolve) => socket.once('data', () => resolve()))
    })
    // Two of them have the places that there are, and the others are turned away.
    let turnedAway = 0
    for (const one of slow) void one.then(() => turnedAway++)
    await until(() => turnedAway === 18)
    const log = new SentLog(url).make(8)
    expect((await log.addCheckpoint(0, [], log.note())).status).toBe(503)
    expect((await log.send()).status).toBe(200)
    expect((await log.checkpoint()).status).toBe(200)
    expect((await fetch(`${url}/vkey`)).status).toBe(200)
  })

  it('is answered when the disk fails, and told once', async () => {
    const { url, dir, told, witness } = await startWitness({ dir: tempFolder() })
    const { writeFileSync } = await import('node:fs')
    const { join } = await import('node:path')
    writeFileSync(join(dir, 'shop'), 'a file where a folder should be')
    for (let i = 0; i < 3; i++) expect((await new SentLog(url).make(1).send()).status).toBe(503)
    expect(told).toEqual(['the witness failed'])
    expect(witness.roster().origins).toEqual({})
    expect((await new SentLog(url, 'traffic', 'cart/host.0').make(1).send()).status).toBe(200)
  })

  it('never makes it fail: whatever comes is answered, and what is held verifies', async () => {
    const { url, dir, told } = await startWitness({
      dir: tempFolder(),
      limits: { bodyBytes: 128 * 1024, newOrigins: 10_000 },
    })
    const log = new SentLog(url).make(50)
    await log.send(0, 20)
    await log.checkpoint(log.note(10))
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.constantFrom(
        '\n',
        '\n\n',
        'old 0\n\n',
        'old 10\n\n',
        log.note(20),
        log.note(10),
        `${log.lines[20]}\n`,
        `${log.lines[3]}\n`,
      ),
      fc.nat(30).map((i) => `${lineAt(log.origin, i, { i })}\n`),
    )
    const body = fc.oneof(
      fc.array(text, { maxLength: 6 }).map((parts) => Buffer.from(parts.join(''))),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.array(text, { maxLength: 3 }).map((parts) => gzipSync(parts.join(''))),
    )
    const header = fc.oneof(
      fc.constantFrom(log.origin, 'shop/host.1/traffic/00aa', log.signer.vkey, '0', '20', 'gzip', ''),
      fc.string({ minLength: 1, maxLength: 40 }).filter((value) => /^[\x21-\x7e]*$/.test(value)),
    )
    const request = fc.record({
      path: fc.constantFrom('/lines', '/leaves', '/checkpoint', '/add-checkpoint', '/roster', '/', '/lines/..', '/%00'),
      headers: fc.record(
        {
          'auditlb-origin': header,
          'auditlb-first': header,
          'auditlb-vkey': header,
          'content-encoding': fc.constantFrom('gzip', 'identity'),
        },
        { requiredKeys: [] },
      ),
      body,
    })
    await fc.assert(
      fc.asyncProperty(request, async ({ path, headers, body }) => {
        const { status } = await post(`${url}${path}`, headers as Record<string, string>, body)
        expect([200, 400, 401, 403, 404, 405, 409, 413, 415, 422, 503]).toContain(status)
      }),
      { numRuns: 400, seed: 5 },
    )
    expect(told.filter((one) => one === 'the witness failed')).toEqual([])
    const report = await verifyLog(dir)
    expect(report.instances.flatMap(({ logs }) => logs.flatMap(({ problems }) => problems))).toEqual([])
  }, 60_000)
})
