// What a connection gets before it is closed for what never became a request, or broke off within one.
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type Breach, breach } from '../../proxy/breach.ts'

/** What an error of Node's parser means for the requests that are open on its connection, and how it is answered. */
function faultOf(code: string | undefined): { readonly result: Breach['result']; readonly status: number } {
  if (code === 'HPE_HEADER_OVERFLOW') return { result: 'headers-too-large', status: 431 }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { result: 'client-timeout', status: 408 }
  return { result: 'malformed', status: 400 }
}

/** Node's own note of the response that a connection carries now; without it an answer could land within another one. */
type Carrying = {
  readonly _httpMessage?: { readonly headersSent: boolean; readonly req: { readonly complete: boolean } } | null
}

type ParserError = Pick<NodeJS.ErrnoException, 'code' | 'message'>

/** Whether the client has ended its side within a request: it has left, and the request tells of it. */
export const leaves = (socket: Socket, { code }: ParserError): boolean =>
  code === 'HPE_INVALID_EOF_STATE' && (socket as Carrying)._httpMessage?.req.complete === false

/** Ends a connection by an error of Node's parser, and has the requests that are open on it end by that. */
export function breakOff(socket: Socket, error: ParserError, answers: boolean): void {
  const { result, status } = faultOf(error.code)
  const left = leaves(socket, error)
  const answered = answers && answer(socket, status)
  const detail = error.code ?? error.message
  if (!left) breach(socket, { result, detail, status: answered ? status : undefined })
}

/** Answers where one still can be answered, and closes the connection. Returns whether it has answered. */
export function answer(socket: Socket, status: number): boolean {
  const begun = (socket as Carrying)._httpMessage?.headersSent === true
  if (begun || !socket.writable) {
    socket.destroy()
    return false
  }
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`
  socket.on('error', ignore).end(head, () => socket.destroy())
  return true
}

// A socket that Node has handed over by CONNECT has no other handler: a reset must not end the process.
const ignore = (): void => undefined
