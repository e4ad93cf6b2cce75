// Middleware of other makers as it works, written anew: what patches a response before the balancer gets it.
import type { ServerResponse } from 'node:http'
import { createGzip, type Gzip } from 'node:zlib'
import type { RequestHandler } from 'express'

type WriteHead = (this: ServerResponse, ...given: unknown[]) => ServerResponse

/**
 * Calls `listener` before the head is written, by a `writeHead` of its own in the place of Node's. It takes a list for one of
 * pairs, as `on-headers` did up to 1.0.
 */
export function onHeaders(response: ServerResponse, listener: (response: ServerResponse) => void): void {
  const before = response.writeHead as unknown as WriteHead
  let fired = false
  const patched: WriteHead = function (...given) {
    const place = typeof given[1] === 'string' ? 2 : 1
    const headers = given[place]
    this.statusCode = given[0] as number
    if (Array.isArray(headers)) for (const [name, value] of headers) this.setHeader(name, value)
    else for (const [name, value] of Object.entries(headers ?? {})) this.setHeader(name, String(value))
    if (!fired) {
      fired = true
      listener(this)
    }
    return Reflect.apply(before, this, given.slice(0, place))
  }
  response.writeHead = patched as unknown as typeof response.writeHead
}

/** Compresses every response whose type is a text, as `compression` does: by patches of `write`, `end` and `on`. */
export const compressing: RequestHandler = (_request, response, next) => {
  const write = response.write
  const end = response.end
  const on = response.on
  const waiting: [string, (...given: unknown[]) => void][] = []
  let stream: Gzip | undefined
  let ended = false
  const begin = (): void => {
    if (!response.headersSent) response.writeHead(response.statusCode)
  }
  const patched = {
    write(...given: unknown[]) {
      if (ended) return false
      begin()
      return stream === undefined ? Reflect.apply(write, response, given) : Reflect.apply(stream.write, stream, given)
    },
    end(...given: unknown[]) {
      if (ended) return response
      begin()
      if (stream === undefined) return Reflect.apply(end, response, given)
      ended = true
      Reflect.apply(stream.end, stream, given)
      return response
    },
    on(name: string, listener: (...given: unknown[]) => void) {
      if (name !== 'drain') Reflect.apply(on, response, [name, listener])
      else if (stream === undefined) waiting.push([name, listener])
      else stream.on(name, listener)
      return response
    },
    flush: () => stream?.flush(),
  }
  Object.assign(response, patched)
  onHeaders(response, () => {
    if (!/^text\//.test(String(response.getHeader('content-type')))) return
    stream = createGzip()
    response.setHeader('Content-Encoding', 'gzip')
    response.removeHeader('Content-Length')
    stream.on('data', (chunk) => {
      if (Reflect.apply(write, response, [chunk]) === false) stream!.pause()
    })
    stream.on('end', () => Reflect.apply(end, response, []))
    Reflect.apply(on, response, ['drain', () => stream!.resume()])
    for (const [name, listener] of waiting) stream.on(name, listener)
  })
  next()
}

export interface Logged {
  readonly status: number
  readonly length: unknown
}

/** Notes each response once it is finished, or its connection closed, as `morgan` does. */
export const logging =
  (lines: Logged[]): RequestHandler =>
  (_request, response, next) => {
    let noted = false
    const note = (): void => {
      if (noted) return
      noted = true
      lines.push({ status: response.statusCode, length: response.getHeader('content-length') })
    }
    response.on('finish', note).on('close', note)
    next()
  }

/**
 * Keeps the last byte of a body back until `saved`, as `express-session` does where its session is to be saved first: by patches
 * of `write` and `end` that take what they get for bytes.
 */
export const keeping =
  (saved: Promise<void>): RequestHandler =>
  (_request, response, next) => {
    const [write, end] = [response.write, response.end] as unknown as WriteHead[]
    const pass = (chunk: Uint8Array) => Reflect.apply(write!, response, [Buffer.from(chunk)])
    Object.assign(response, {
      write: pass,
      end(chunk?: Uint8Array) {
        if (chunk !== undefined) pass(chunk.slice(0, -1))
        void saved.then(() => Reflect.apply(end!, response, chunk === undefined ? [] : [Buffer.from(chunk.slice(-1))]))
        return response
      },
    })
    next()
  }
