// The rest of a request that nobody wants any more: read within bounds, so that its client reads the response.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock, Timer } from '../clock.ts'
import { leaveUnread, streamOf } from './versions.ts'

/** How much is read so that the connection can be used again. */
const mostBytes = 256 * 1024

/** How long the client may take for that, from the end of the response; and how long it may take to see the end, if not. */
const mostMs = 5000

/**
 * Reads the rest of a request whose response is written. Where it is too long or too slow, or the connection is to close in
 * any case, our side ends in order and the client's is read on for a while: to close what has unread bytes is a reset, and
 * would take the response away from a client that is still sending.
 */
export function drain(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  const stream = streamOf(request)
  if (stream !== undefined) return leaveUnread(request, stream)
  if (request.complete || request.destroyed) return
  const { socket } = request
  let left = mostBytes
  let ending = false
  let timer: Timer | undefined
  const end = (): void => {
    if (ending) return
    ending = true
    timer?.cancel()
    timer = clock.after(mostMs, () => socket.destroy())
    socket.end()
    request.resume()
  }
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left >= 0 || ending) return
    // What is not taken yet of the response comes first.
    if (response.writableFinished) end()
    else request.pause()
  })
  const finished = (): void => {
    if (left < 0) end()
    else if (!ending) timer = clock.after(mostMs, end)
  }
  response.once('finish', finished)
  // What Node calls at the end of a response behind which nothing may follow.
  socket.destroySoon = end
  request.once('close', () => {
    // Its end may come before that of the response: then the connection is whole, and belongs to the next request.
    response.off('finish', finished)
    timer?.cancel()
    Reflect.deleteProperty(socket, 'destroySoon')
    if (ending) socket.destroy()
  })
  request.resume()
}
