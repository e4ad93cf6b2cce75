// What a connection gets before it is closed for what never became a request.
import type { Socket } from 'node:net'

/** The status for an error of Node's parser. */
export function statusOf(code: string | undefined): string {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout'
  return '400 Bad Request'
}

/** Node's own note of the response that a connection carries now; without it an answer could land within another one. */
type Carrying = { readonly _httpMessage?: { readonly headersSent: boolean } | null }

/** Answers where one still can be answered, and closes the connection. */
export function answer(socket: Socket, status: string): void {
  const begun = (socket as Carrying)._httpMessage?.headersSent === true
  if (begun || !socket.writable) socket.destroy()
  else
    socket
      .on('error', ignore)
      .end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
}

// A socket that Node has handed over by CONNECT has no other handler: a reset must not end the process.
const ignore = (): void => undefined
