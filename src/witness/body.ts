// Reads the body of a request: bounded in size and time, also when it is compressed.
import type { IncomingMessage } from 'node:http'
import { createGunzip } from 'node:zlib'
import type { Clock } from '../clock.ts'
import { malformed, Refusal } from './answer.ts'

/** A request as Node, a framework or HTTP/2 hands it over; some frameworks have read the body before. */
export type BodyRequest = Pick<IncomingMessage, 'headers' | 'on' | 'off' | 'pause' | 'resume' | 'readableEnded'> & {
  readonly body?: unknown
}

export interface BodyLimits {
  /** Bytes, after decompression. */
  readonly bytes: number
  readonly ms: number
}

const tooLarge = (bytes: number): Refusal =>
  new Refusal(413, 'too-large', `the body is larger than ${bytes} bytes`, { headers: { connection: 'close' } })

/** Rejects with a refusal for a body that is too large, too slow, cut off, or compressed in a way that is not known. */
export async function readBody(request: BodyRequest, limits: BodyLimits, clock: Clock): Promise<Buffer> {
  const coding = String(request.headers['content-encoding'] ?? 'identity').toLowerCase()
  if (coding !== 'identity' && coding !== 'gzip')
    throw new Refusal(415, 'coding-unknown', 'expected a body as it is, or one of content-encoding gzip', {
      headers: { 'accept-encoding': 'gzip' },
    })
  const { body } = request
  if (body instanceof Uint8Array || typeof body === 'string') {
    // A parser that reads bytes or text has undone the compression.
    const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.length)
    if (bytes.length > limits.bytes) throw tooLarge(limits.bytes)
    return bytes
  }
  if (request.readableEnded) throw malformed('the body was read before the witness got it: mount it before any parser')
  return collect(request, coding === 'gzip', limits, clock)
}

function collect(request: BodyRequest, zipped: boolean, limits: BodyLimits, clock: Clock): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const gunzip = zipped ? createGunzip() : undefined
    // The end of the request is not yet that of what comes out of it.
    const ignore = (): void => {
      request.off('data', onData)
      request.off('end', onEnd)
      for (const name of ['error', 'aborted', 'close'] as const) request.off(name, onCut)
    }
    const settle = (act: () => void): void => {
      timer.cancel()
      ignore()
      gunzip?.destroy()
      act()
    }
    const fail = (refusal: Refusal): void => settle(() => reject(refusal))
    const take = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes > limits.bytes) fail(tooLarge(limits.bytes))
      else chunks.push(chunk)
    }
    const done = (): void => settle(() => resolve(Buffer.concat(chunks)))
    const onData = (chunk: Buffer): void => {
      if (gunzip === undefined) take(chunk)
      else if (!gunzip.write(chunk)) request.pause()
    }
    const onEnd = (): void => {
      ignore()
      if (gunzip === undefined) done()
      else gunzip.end()
    }
    const onCut = (): void => fail(malformed('the body was cut off'))
    const timer = clock.after(limits.ms, () =>
      fail(new Refusal(408, 'too-slow', 'the body did not come in time', { headers: { connection: 'close' } })),
    )
    gunzip?.on('data', take)
    gunzip?.on('drain', () => request.resume())
    gunzip?.on('end', done)
    gunzip?.on('error', () => fail(malformed('the body is not gzip')))
    request.on('data', onData)
    request.on('end', onEnd)
    for (const name of ['error', 'aborted', 'close'] as const) request.on(name, onCut)
  })
}
