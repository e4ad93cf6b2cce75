// A request that the host answers by itself: the same record as of one that is forwarded, without a hop.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Incoming, incoming } from './incoming.ts'
import { Journal } from './journal.ts'
import { onceClosed } from './pipelined.ts'
import type { HandleOptions, Ports } from './ports.ts'

/** Node's note of a request for another protocol. */
type Switching = { readonly upgrade?: boolean | null }

interface Watch {
  readonly ports: Ports
  /** Ends it without a record. False where it was recorded already. */
  stop(): boolean
}

const watches = new WeakMap<IncomingMessage, Watch[]>()

/**
 * Ends all watches over a request that a balancer takes over: its record is the one. False where it has recorded this request
 * already, whose client has left meanwhile.
 */
export function unwatch(ports: Ports, request: IncomingMessage): boolean {
  const stopped = watches.get(request)?.map((watch) => watch.stop() || watch.ports !== ports)
  return stopped?.every(Boolean) ?? true
}

/**
 * Watches a request and its response until both are over, and records them once: a balancer that watches it already does not
 * do so twice. Touches neither. Never throws.
 */
export function observe(
  ports: Ports,
  request: IncomingMessage,
  response: ServerResponse,
  options: HandleOptions,
): Incoming {
  const facts = incoming(request, options)
  const others = watches.get(request)
  if (others?.some((watch) => watch.ports === ports)) return facts
  const journal = new Journal(ports, facts)
  journal.byHost = true
  let stopped = false
  const sent = countSent(response)
  const received = countReceived(request)
  ports.opened()
  const end = (): void => {
    if (stopped) return
    stopped = true
    const finished = response.writableFinished
    // The host has taken the connection for another protocol: what it said on it is not known here.
    const switched = (request as Switching).upgrade === true && !response.headersSent
    if (finished || switched) journal.result = 'ok'
    else journal.fail('client-gone', undefined)
    journal.completed(finished ? response.statusCode : switched ? undefined : 499, received(), sent())
    ports.closed()
  }
  if (response.destroyed || request.socket.destroyed) end()
  else {
    onceClosed(request, response, end)
    const watch = {
      ports,
      stop() {
        if (stopped) return false
        stopped = true
        ports.closed()
        return true
      },
    }
    if (others === undefined) watches.set(request, [watch])
    else others.push(watch)
  }
  return facts
}

/** Counts what a response's body is written with. */
export function countSent(response: ServerResponse): () => number {
  let size = 0
  const write = response.write
  const end = response.end
  response.write = function (this: ServerResponse, ...given: unknown[]) {
    size += sizeOf(given[0], given[1])
    return Reflect.apply(write, this, given)
  } as typeof write
  response.end = function (this: ServerResponse, ...given: unknown[]) {
    size += sizeOf(given[0], given[1])
    return Reflect.apply(end, this, given)
  } as typeof end
  return () => size
}

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
