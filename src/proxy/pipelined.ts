// Requests that a client sends before their turn: Node hands them over at once, and tells their responses nothing until then.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { streamOf } from './versions.ts'

/** What waits for the close of a connection: one listener serves all requests that are pipelined on it. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/** Calls `fn` once: when the response closes, or when its connection does before the turn of the response came. */
export function onceClosed(request: IncomingMessage, response: ServerResponse, fn: () => void): void {
  const stream = streamOf(request)
  if (stream !== undefined) {
    // A client that breaks off is told of at once: where it gives no error Node makes its body end as if it were whole.
    let over = false
    const once = (): void => {
      if (over) return
      over = true
      fn()
    }
    request.once('aborted', once)
    // The response itself does not tell it where it answers HEAD.
    stream.once('close', once)
    return
  }
  if (response.socket !== null) {
    // Node tells it once.
    response.on('close', fn)
    return
  }
  const all = waitingOn(request.socket)
  const closed = (): void => {
    if (all.delete(closed)) fn()
  }
  all.add(closed)
  response.once('close', closed)
}

function waitingOn(socket: Socket): Set<() => void> {
  let all = waiting.get(socket)
  if (all === undefined) {
    const made = new Set<() => void>()
    all = made
    waiting.set(socket, made)
    socket.once('close', () => {
      for (const closed of made) closed()
    })
  }
  return all
}

const distrusted = new WeakMap<Socket, string>()

/** Whether it came as a stream of HTTP/2: whatever becomes of it, the others of its connection are whole. */
const isStream = (request: IncomingMessage): boolean => 'stream' in request

/**
 * After a request that is not well-formed nobody can tell where the next one on its connection begins, and after one whose
 * answer closes it nobody would get another. Of several reasons the first one is kept.
 */
export function distrust(request: IncomingMessage, why: string): void {
  if (!isStream(request) && !distrusted.has(request.socket)) distrusted.set(request.socket, why)
}

/** Why a request is not to be looked at, because of what came before it on its connection. */
export const distrustOf = (request: IncomingMessage): string | undefined =>
  isStream(request) ? undefined : distrusted.get(request.socket)
