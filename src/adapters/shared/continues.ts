// `Expect: 100-continue`: the client is told to go on once somebody reads its body, and not before.
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Has the client told to go on when its body is first wanted. Node by itself tells it at once, so that also what will be
 * refused is sent (RFC 9110 section 10.1.1).
 */
function continueOnRead(request: IncomingMessage, response: ServerResponse): void {
  // What Readable asks for more by, when somebody wants the body for the first time.
  const read = request._read
  request._read = function (size) {
    request._read = read
    if (!response.headersSent && !response.destroyed) response.writeContinue()
    read.call(this, size)
  }
}

/** Hands such a request to its server, as one of all; `waits` where its client is to be told to go on not before that is wanted. */
export function takeContinue(
  server: EventEmitter,
  waits: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (waits) continueOnRead(request, response)
  else response.writeContinue()
  server.emit('request', request, response)
}
