// A request that the host answers by itself: the same record as of one that is forwarded, without a hop.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Incoming, incoming } from './incoming.ts'
import { Journal } from './journal.ts'
import { onceClosed } from './pipelined.ts'
import type { HandleOptions, Ports } from './ports.ts'

/** Watches a request and its response until both are over, and records them once. Touches neither. Never throws. */
export function observe(
  ports: Ports,
  request: IncomingMessage,
  response: ServerResponse,
  options: HandleOptions,
): Incoming {
  const facts = incoming(request, options, ports.trust())
  const journal = new Journal(ports, facts)
  journal.byHost = true
  const sent = countSent(response)
  const received = countReceived(request)
  ports.opened()
  const end = (): void => {
    const finished = response.writableFinished
    if (finished) journal.result = 'ok'
    else journal.fail('client-gone', undefined)
    journal.completed(finished ? response.statusCode : 499, received(), sent())
    ports.closed()
  }
  if (response.destroyed || request.socket.destroyed) end()
  else onceClosed(request, response, end)
  return facts
}

/** Counts what a response's body is written with. */
function countSent(response: ServerResponse): () => number {
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
