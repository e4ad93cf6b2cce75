// `Expect: 100-continue`: the client is told to go on once somebody reads its body, and not before.
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * A listener for `checkContinue`, for whatever handles the requests of this server. Node by itself tells the client at once,
 * so that also what will be refused is sent (RFC 9110 section 10.1.1).
 */
export function continueOnRead(server: EventEmitter): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    // What Readable asks for more by, when somebody wants the body for the first time.
    const read = request._read
    request._read = function (size) {
      request._read = read
      if (!response.headersSent && !response.destroyed) response.writeContinue()
      read.call(this, size)
    }
    server.emit('request', request, response)
  }
}
