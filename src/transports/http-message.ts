// A request of `node:http` that waits for its socket.
import http, { type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import type { AttemptRequest } from '../transport.ts'
import { idleMsOf } from './idle.ts'
import { membersOf, tellsOfBody, tokensOf, valueIn } from './raw.ts'
import { checkLength } from './send-body.ts'

/** Which sockets there are is not Node's affair: a request gets its own by `onSocket`. It keeps it alive, as with any agent. */
function socketless(protocol: string): Agent {
  return Object.assign(new http.Agent({ keepAlive: true }), { protocol, addRequest: () => undefined })
}
const agents = { 'http:': socketless('http:'), 'https:': socketless('https:') }

/** A request whose head is complete. Throws what Node throws at heads that cannot be sent. */
export function newMessage(request: AttemptRequest): ClientRequest {
  const { within } = request
  checkLength(request.headers, request.body)
  if (within === undefined) return made(request)
  let message: ClientRequest | undefined
  within(() => {
    message = made(request)
  })
  return message!
}

function made(request: AttemptRequest): ClientRequest {
  const { backend, method, path } = request
  const protocol = backend.url.startsWith('https:') ? 'https:' : 'http:'
  // Called by the module's object, and without headers: so instrumentation sees the request, and does not spoil lists of headers.
  const message = http.request({
    agent: agents[protocol],
    protocol,
    host: backend.address,
    port: backend.port,
    method,
    path,
    setHost: false,
  })
  // A request may fail more than once, and after its end.
  message.on('error', () => undefined)
  // Node keeps 1,000 headers of a response otherwise, and drops the others without a word.
  message.maxHeadersCount = 0
  try {
    complete(message, request)
  } catch (error) {
    abandon(message, error)
    throw error
  }
  return message
}

function complete(message: ClientRequest, { headers, body, upgrade }: AttemptRequest): void {
  // What instrumentation has set stands: there is to be one `traceparent`, and `tracestate` belongs to it.
  const set = message.getHeaderNames()
  if (set.includes('traceparent')) set.push('tracestate')
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!
    if (set.length > 0 && set.includes(name.toLowerCase())) continue
    if (message.hasHeader(name)) message.appendHeader(name, headers[i + 1]!)
    else message.setHeader(name, headers[i + 1]!)
  }
  if (upgrade !== undefined) {
    message.setHeader('Connection', 'Upgrade')
    message.setHeader('Upgrade', upgrade)
  }
  if (body instanceof Buffer) {
    if (!message.hasHeader('content-length')) message.setHeader('Content-Length', body.length)
  } else if (body !== undefined && !message.hasHeader('content-length')) {
    message.setHeader('Transfer-Encoding', 'chunked')
  }
}

/** For how long the connection may be idle once the response is whole; 0: it may carry no other request. */
export function restOf(message: ClientRequest, { rawHeaders }: IncomingMessage, keepAliveMs: number): number {
  const isLast = message.method === 'HEAD' && tellsOfBody(rawHeaders)
  if (!message.shouldKeepAlive || !message.writableFinished || isLast) return 0
  return idleMsOf(valueIn(rawHeaders, 'keep-alive'), keepAliveMs)
}

/** What is wrong with a switch of protocols: it must be to what was asked for (RFC 9110 section 7.8). */
export function switchFault(
  { rawHeaders, statusCode }: IncomingMessage,
  upgrade: string | undefined,
): string | undefined {
  if (upgrade === undefined || statusCode !== 101) return 'a switch of protocols that nobody asked for'
  const asked = membersOf(upgrade)
  const given = tokensOf(rawHeaders, 'upgrade')
  const fits = given.length > 0 && given.every((token) => asked.includes(token))
  return fits ? undefined : 'a switch to a protocol that nobody asked for'
}

/** Ends a request that gets no socket, so that who watches it does not wait for its end. */
export function abandon(message: ClientRequest, error: unknown): void {
  const pending = message as unknown as { onSocket(socket: null, error: unknown): void }
  pending.onSocket(null, error)
}
