// A request that failed before its response began: answered by ourselves, or handed back to the host.
import type { ServerResponse } from 'node:http'
import type { Ticket } from '../events.ts'
import type { RequestResult } from '../outcome.ts'
import { answerTo, writeHead } from './answer.ts'
import { drain } from './drain.ts'
import { handBack } from './hand-back.ts'
import type { Incoming } from './incoming.ts'
import { distrust } from './pipelined.ts'
import type { Ports } from './ports.ts'
import type { Options } from './upgrading.ts'
import { retire } from './versions.ts'
import type { ResponseWriter } from './writer.ts'

/** Results after which nobody can tell, or nobody has looked, where the next request on the connection begins. */
const untrusted: ReadonlySet<RequestResult> = new Set(['malformed', 'target-too-long', 'headers-too-large'])

/** What is needed of the request. */
interface Refusing {
  readonly ports: Ports
  readonly incoming: Incoming
  readonly options: Options
  readonly response: ServerResponse
  readonly writer: ResponseWriter
  /** Whether a part of its body was not read. */
  readonly unread: boolean
  record(status: number, size: number): Ticket | undefined
}

/**
 * Answers. After a refusal of what is not well-formed the connection cannot be trusted any more. Returns what tells the bytes
 * of the host's answer, where it is the host who answers.
 */
export function refuse(
  { ports, incoming, options, response, writer, unread, record }: Refusing,
  result: Exclude<RequestResult, 'ok'>,
  detail: string | undefined,
): (() => number) | undefined {
  const { request, requestId } = incoming
  if (untrusted.has(result)) distrust(request, 'it follows a request that is not well-formed')
  if (result === 'closing') retire(request)
  if (unread) distrust(request, 'it follows a request whose body was not taken')
  const close = options.upgrading !== undefined || unread || untrusted.has(result) || result === 'closing'
  const byHost = untrusted.has(result) ? undefined : handBack(ports, incoming, response, { result, detail, close })
  if (byHost !== undefined) return byHost
  const { status, reason, head, body } = answerTo(result, requestId, close)
  const text = request.method === 'HEAD' ? '' : body
  const answer = (): void => {
    // Somebody else may have answered while it waited for its line.
    if (response.headersSent) return
    writeHead(response, status, reason, head)
    options.onHead?.()
    writer.own(text)
    drain(request, response, ports.clock)
  }
  const { log } = ports
  const ticket = log.waits && log.recordable() ? record(status, Buffer.byteLength(text)) : undefined
  if (ticket === undefined) answer()
  else log.durable(ticket).then(answer, answer)
  return undefined
}
