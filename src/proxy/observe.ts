// A request that the host answers by itself: the same record as of one that is forwarded, without a hop.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Breach, breachOf } from './breach.ts'
import { incoming } from './incoming.ts'
import { Journal } from './journal.ts'
import { onceClosed } from './pipelined.ts'
import type { HandedOver, HandleOptions, Ports } from './ports.ts'
import { isFinished, streamOf } from './versions.ts'

type Route = HandleOptions['route']
/** Node's note of the response that a connection carries now. */
type Carrying = { readonly _httpMessage?: ServerResponse | null }
/** Node's note of a request for another protocol. */
type Switching = { readonly upgrade?: boolean | null }

/** One that is watched. */
interface Watched {
  readonly requestId: string
  route: Route
  /** Makes no record of it: a balancer has taken it over, and makes one. Undefined where it is recorded already. */
  drop(): HandedOver | undefined
}

/** By their requests: however many watch one, there is one record of it. */
const watched = new WeakMap<IncomingMessage, Watched>()

/**
 * A request that a balancer takes over is not the host's: its options from then on. Undefined where its client has left
 * meanwhile, and it is recorded.
 */
export function takeOver<T extends HandleOptions>(request: IncomingMessage, options: T): T | undefined {
  const before = watched.get(request)
  if (before === undefined) return options
  const handedOver = before.drop()
  return handedOver && { ...options, handedOver }
}

/**
 * Watches a request and its response until both are over, and records them once. Changes nothing of what they do. Returns
 * our id of it. Never throws.
 */
export function observe(
  ports: Ports,
  request: IncomingMessage,
  response: ServerResponse,
  options: HandleOptions,
): string {
  const before = watched.get(request)
  if (before !== undefined) {
    before.route ??= options.route
    return before.requestId
  }
  const sent = watchSent(response)
  const received = countReceived(request)
  return watch(ports, request, response, options, (end) => {
    const over = (): void => {
      const status = streamOf(response)?.sentHeaders?.[':status'] ?? response.statusCode
      const bodiless = request.method === 'HEAD' || status === 204 || status === 304
      const size = bodiless ? 0 : sent.size()
      // The host has taken the connection for another protocol: what it said on it is not known here.
      const switched = (request as Switching).upgrade === true && !response.headersSent
      if (switched) end({ result: 'ok', status: undefined }, received(), 0)
      else if (isFinished(response)) end({ result: 'ok', status: Number(status) }, received(), size)
      else if (sent.broken()) end({ result: 'internal', status: Number(status) }, received(), size)
      else {
        const breach = breachOf(request)
        if (breach === undefined) return end({ result: 'client-gone', status: 499 }, received(), size)
        end({ ...breach, status: response.headersSent ? Number(status) : breach.status }, received(), size)
      }
    }
    if (response.destroyed || request.socket.destroyed) over()
    else onceClosed(request, response, over)
  })
}

/** The same of a request for another protocol, until it is answered: what is carried after that is the host's alone. */
export function observeUpgrade(ports: Ports, request: IncomingMessage, socket: Duplex, options: HandleOptions): void {
  if (watched.has(request)) return
  watch(ports, request, undefined, options, (end) => {
    const { write, end: finish, destroy } = socket
    let broken = false
    let told = false
    const done = (status: number | undefined): void => {
      // Whoever has replaced one of them meanwhile goes on with what they replaced.
      if (socket.write === write2) socket.write = write
      if (socket.end === finish2) socket.end = finish
      if (socket.destroy === destroy2) socket.destroy = destroy
      socket.off('close', gone)
      if (status !== undefined) end({ result: 'ok', status }, 0, 0)
      else if (broken) end({ result: 'internal', status }, 0, 0)
      else end({ result: 'client-gone', status: 499 }, 0, 0)
    }
    const gone = (): void => done(undefined)
    const reading = (method: typeof write | typeof finish) =>
      function (this: Duplex, ...given: unknown[]) {
        // What it waits behind is written to the same connection.
        const { _httpMessage: carried } = socket as Carrying
        const waits = carried != null && carried.req !== request
        const status = told || waits ? undefined : statusIn(given[0])
        told ||= !waits
        const result: unknown = Reflect.apply(method, this, given)
        if (status !== undefined) done(status)
        return result
      }
    const write2 = reading(write) as typeof write
    const finish2 = reading(finish) as typeof finish
    const destroy2 = function (this: Duplex, ...given: unknown[]) {
      // Node calls it too: with an error, or after the client has ended its side.
      if (given[0] === undefined && !socket.readableEnded) broken = true
      return Reflect.apply(destroy, this, given)
    } as typeof destroy
    socket.write = write2
    socket.end = finish2
    socket.destroy = destroy2
    if (socket.destroyed) gone()
    else socket.once('close', gone)
  })
}

const statusIn = (chunk: unknown): number | undefined => {
  const text = chunk instanceof Uint8Array ? Buffer.from(chunk.subarray(0, 16)).toString('latin1') : String(chunk)
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
  return status === undefined ? undefined : Number(status)
}

interface End {
  readonly result: 'ok' | 'internal' | 'client-gone' | Breach['result']
  readonly detail?: string
  readonly status: number | undefined
}

/** Counts a request in, and out again with its record. `begin` gets what is to be called at its end. */
function watch(
  ports: Ports,
  request: IncomingMessage,
  response: ServerResponse | undefined,
  options: HandleOptions,
  begin: (end: (how: End, received: number, sent: number) => void) => void,
): string {
  let open = true
  const close = (): boolean => {
    if (!open) return false
    open = false
    ports.closed()
    return true
  }
  const drop = (): HandedOver | undefined => {
    const told = journal.drop()
    return close() ? { requestId, told, ports } : undefined
  }
  const one: Watched = { requestId: '', route: options.route, drop }
  const facts = incoming(
    request,
    {
      ...options,
      route: () => (typeof one.route === 'function' ? one.route() : one.route),
    },
    ports.trust(),
  )
  const { requestId } = facts
  watched.set(request, Object.assign(one, { requestId }))
  const journal = new Journal(ports, facts, response)
  journal.byHost = true
  ports.opened()
  begin(({ result, status, detail }, received, sent) => {
    if (!open) return
    if (result === 'ok') journal.result = 'ok'
    else journal.fail(result, result === 'internal' ? 'the host broke its response off' : detail)
    journal.completed(status, received, sent)
    close()
  })
  return requestId
}

/** Counts what a response's body is written with, and sees whether the host breaks it off. */
export function watchSent(response: ServerResponse): { size(): number; broken(): boolean } {
  let size = 0
  let broken = false
  let within = false
  const { write, end, destroy } = response
  const counting = (method: typeof write | typeof end) =>
    function (this: ServerResponse, ...given: unknown[]) {
      // In HTTP/2 one calls the other; and what comes after the end is not sent.
      const counts = !within && !response.writableEnded
      const outer = within
      within = true
      try {
        const result: unknown = Reflect.apply(method, this, given)
        if (counts) size += sizeOf(given[0], given[1])
        return result
      } finally {
        within = outer
      }
    }
  response.write = counting(write) as typeof write
  response.end = counting(end) as typeof end
  response.destroy = function (this: ServerResponse, ...given: unknown[]) {
    // Whoever clears up after a client that has left is not the one who broke it off.
    if (!isOver(response)) broken = true
    return Reflect.apply(destroy, this, given)
  } as typeof destroy
  return { size: () => size, broken: () => broken }
}

const isOver = (response: ServerResponse): boolean =>
  (streamOf(response) ?? response.socket)?.destroyed === true || response.destroyed === true

/** Counts what the parser hands over: to listen for `data` would set the body flowing. */
function countReceived(request: IncomingMessage): () => number {
  let size = 0
  const push = request.push
  request.push = function (this: IncomingMessage, chunk: unknown, encoding?: BufferEncoding) {
    size += sizeOf(chunk, encoding)
    return push.call(this, chunk, encoding)
  }
  return () => size
}

function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string')
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  return chunk instanceof Uint8Array ? chunk.byteLength : 0
}
