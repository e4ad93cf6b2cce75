// A gigabyte each way past a slow side: every byte arrives, and the process that passes it on does not grow.
import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect, it } from 'vitest'
import { httpBackend } from '../../support/backends.ts'
import { bundle, start } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'
import { hopBy, transports } from '../../support/transports.ts'

const megabyte = 1_000_000
const total = scaled(1000, 100) * megabyte
const block = Buffer.from(Array.from({ length: 65_521 }, (_, i) => (i * 31 + (i >> 8)) & 0xff))

/** So many bytes of a pattern whose period is no power of two. */
function pattern(length: number): Readable {
  let left = length
  return new Readable({
    read() {
      const part = block.subarray(0, Math.min(left, block.length))
      left -= part.length
      this.push(part.length === 0 ? null : part)
    },
  })
}

const digestOf = async (length: number): Promise<string> => {
  const hash = createHash('sha1')
  for await (const chunk of pattern(length)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Takes what comes more slowly than it could come: it rests after each megabyte. */
function slow(): Writable & { digest(): string; size: number } {
  const hash = createHash('sha1')
  let since = 0
  const sink = new Writable({
    highWaterMark: 16_384,
    write(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      told.size += chunk.length
      since += chunk.length
      if (since < megabyte) return done()
      since = 0
      setTimeout(done, 5)
    },
  })
  const told = Object.assign(sink, { size: 0, digest: () => hash.digest('hex') })
  return told
}

for (const transport of transports) {
  for (const way of ['download', 'upload'] as const) {
    it(`${way} by ${transport}`, async () => {
      const uploads: ReturnType<typeof slow>[] = []
      const backend = await httpBackend((request, response) => {
        if (request.method === 'GET') {
          void pipeline(pattern(Number(request.url!.slice(1))), response).catch(() => undefined)
          return
        }
        const sink = slow()
        uploads.push(sink)
        void pipeline(request, sink).then(() => response.end('taken'))
      })
      const { path, remove } = await bundle('test/support/hop-program.ts')
      try {
        const program = start(path, JSON.stringify({ backends: [backend.url], ...hopBy(transport) }))
        const port = Number(await program.said('port '))
        let asked = 0
        const peak = async (): Promise<number> => {
          program.child.stdin!.write(`peak${++asked}\n`)
          return Number(await program.said(`peak${asked} `))
        }
        const transfer = async (length: number): Promise<string> => {
          const options = { port, host: '127.0.0.1', agent: false, path: `/${length}` } as const
          if (way === 'download') {
            const sink = slow()
            const request = httpRequest(options).end()
            const response = await new Promise<Readable>((resolve) => request.on('response', resolve))
            await pipeline(response, sink)
            expect(sink.size).toBe(length)
            return sink.digest()
          }
          const request = httpRequest({ ...options, method: 'POST', headers: { 'content-length': length } })
          const answered = new Promise<Readable>((resolve) => request.on('response', resolve))
          await pipeline(pattern(length), request)
          for await (const _ of await answered);
          const sink = uploads.at(-1)!
          expect(sink.size).toBe(length)
          return sink.digest()
        }
        // What is taken once, for code and buffers, is no growth.
        for (let i = 0; i < 3; i++) await transfer(100 * megabyte)
        const before = await peak()
        expect(await transfer(total)).toBe(await digestOf(total))
        const grown = (await peak()) - before
        process.stdout.write(
          `${way} of ${total / megabyte} MB by ${transport}: ${(grown / megabyte).toFixed(1)} MB over ${(before / megabyte).toFixed(1)} MB\n`,
        )
        expect(grown).toBeLessThan(30 * megabyte)
      } finally {
        remove()
      }
    })
  }
}
