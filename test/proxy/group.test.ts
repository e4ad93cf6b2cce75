// With durability `group` the last byte of every response waits until its line is on disk.
import { createServer, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { nodeHandler } from '../../src/adapters/node.ts'
import type { LogStore, OpenedStore } from '../../src/sink.ts'
import { answering, httpBackend, refusing, saying } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { rawClient } from '../support/raw-client.ts'
import { feedOf } from '../support/sinks.ts'
import { until } from '../support/until.ts'

/** A log store whose disk is as fast as the test lets it be. */
function slowStore() {
  const waiting: { index: number; resolve: () => void }[] = []
  const lines: string[] = []
  const head = { origin: 'test/here/traffic/1', next: 0 }
  const heads = { traffic: head, security: head, control: head }
  const opened: OpenedStore = { instance: 'here', vkey: 'test/here+00000000+AA==', heads }
  const store: LogStore = {
    name: 'slow',
    kind: 'store',
    durability: 'group',
    fault: () => undefined,
    open: async () => opened,
    append(log, _index, line) {
      if (log === 'traffic') lines.push(line)
      return true
    },
    durable: (log, index) =>
      log === 'traffic' ? new Promise((resolve) => void waiting.push({ index, resolve })) : Promise.resolve(),
    source: feedOf(heads, { traffic: [], security: [], control: [] }),
    close: async () => ({ unwritten: 0 }),
    release: async () => undefined,
  }
  const sync = (): void => {
    for (const { resolve } of waiting.splice(0)) resolve()
  }
  return { store, waiting, lines, sync }
}

const get = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

describe('with durability group', () => {
  it.each(['200 OK\r\nContent-Length: 0', '204 No Content', '304 Not Modified'])(
    'a response that is all head waits for its line: %s',
    async (head) => {
      const backend = await saying(`HTTP/1.1 ${head}\r\n\r\n`)
      const { store, waiting, sync } = slowStore()
      const { port, balancer } = await edge([backend], { audit: { sinks: [store] } })
      await balancer.ready()
      const client = await rawClient(port, get)
      await until(() => waiting.length === 1)
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      expect(client.text()).toBe('')
      sync()
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 /)
    },
  )

  it('nothing waits for a log that cannot be written, where it is served all the same', async () => {
    const { store, waiting } = slowStore()
    const { port, balancer } = await edge([await httpBackend((_, response) => void response.end('ok'))], {
      audit: { sinks: [store] },
    })
    await balancer.ready()
    Object.assign(store, { fault: () => 'EIO' })
    const client = await rawClient(port, get)
    await client.ended
    expect(client.text()).toMatch(/ok$/)
    expect(waiting).toEqual([])
  })

  it('the head of a response whose body is still to come waits for nothing', async () => {
    let response: ServerResponse | undefined
    const backend = await httpBackend((_request, given) => {
      response = given
      given.writeHead(200, { 'content-length': 2 }).flushHeaders()
    })
    const { store, waiting, sync } = slowStore()
    const { port, balancer } = await edge([backend], { audit: { sinks: [store] } })
    await balancer.ready()
    const client = await rawClient(port, get)
    await client.has(/content-length: 2\r\n/i)
    response!.end('ok')
    await until(() => waiting.length === 1)
    expect(client.text()).not.toMatch(/ok$/)
    sync()
    await client.ended
    expect(client.text()).toMatch(/ok$/)
  })

  it.each([
    ['a length', (response: ServerResponse) => response.end('hello')],
    [
      'chunks',
      (response: ServerResponse) => {
        response.write('hello')
        response.end()
      },
    ],
  ])('the end of a response with %s waits for its line', async (_name, answer) => {
    const backend = await answering(answer)
    const { store, waiting, lines, sync } = slowStore()
    const { port, balancer } = await edge([backend], { audit: { sinks: [store] } })
    await balancer.ready()
    const client = await rawClient(port, get)
    await until(() => waiting.length === 1)
    expect(lines.filter((line) => line.includes('request.completed'))).toHaveLength(1)
    expect(client.text()).not.toMatch(/hello$|\r\n0\r\n\r\n$/)
    sync()
    await client.ended
    expect(client.text()).toMatch(/hello(\r\n0\r\n\r\n)?$/)
  })

  it.each([
    ['nobody is eligible', [], {}, 503],
    ['the client is denied', ['http://127.0.0.1:1'], { access: { deny: ['127.0.0.1/32'] } }, 403],
  ])('our own answer waits for its line: %s', async (_name, backends, options, status) => {
    const { store, waiting, lines, sync } = slowStore()
    const { balancer } = recorded({ backends, ...options, audit: { sinks: [store] } })
    await balancer.ready()
    const server = createServer(nodeHandler(balancer))
    closeAfterTest(server)
    const client = await rawClient(await listen(server), get)
    await until(() => waiting.length === 1)
    expect(client.text()).toBe('')
    expect(lines.some((line) => line.includes(`"status_code":${status}`))).toBe(true)
    sync()
    await client.ended
    expect(client.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  it('our own answer to a failed hop waits for its line', async () => {
    const { store, waiting, sync } = slowStore()
    const { port, balancer } = await edge([await refusing()], { audit: { sinks: [store] } })
    await balancer.ready()
    const client = await rawClient(port, get)
    await until(() => waiting.length === 1)
    expect(client.text()).toBe('')
    sync()
    await client.ended
    expect(client.text()).toMatch(/^HTTP\/1\.1 502 /)
  })

  it('our own answer gives way to somebody else who has answered while it waited', async () => {
    const { store, waiting, sync } = slowStore()
    const { balancer } = recorded({ backends: [(await refusing()).url], audit: { sinks: [store] } })
    await balancer.ready()
    const handle = nodeHandler(balancer)
    let answer = (): void => undefined
    const server = createServer((request, response) => {
      answer = () => void response.writeHead(418).end()
      handle(request, response)
    })
    closeAfterTest(server)
    const client = await rawClient(await listen(server), get)
    await until(() => waiting.length === 1)
    const faults: unknown[] = []
    const onFault = (fault: unknown): void => void faults.push(fault)
    process.on('unhandledRejection', onFault)
    answer()
    sync()
    await client.ended
    process.off('unhandledRejection', onFault)
    expect(client.text()).toMatch(/^HTTP\/1\.1 418 /)
    expect(faults).toEqual([])
  })
})
