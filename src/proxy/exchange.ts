// One request from its first look to its record: refuse or pick, send, pass on, try elsewhere, and tell exactly once.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BackendState } from '../backend.ts'
import type { Ticket } from '../events.ts'
import type { RequestResult } from '../outcome.ts'
import type { AttemptRequest } from '../transport.ts'
import { look, prepare, recordFirst } from './admission.ts'
import { cut, writeHead, writeHints } from './answer.ts'
import { Attempts } from './attempts.ts'
import { bindBy } from './binding.ts'
import type { OnBodyFault } from './body-watch.ts'
import { breachOf } from './breach.ts'
import { drain } from './drain.ts'
import type { Admitted } from './gate.ts'
import { interimHead, responseHead } from './headers.ts'
import { type Incoming, incoming } from './incoming.ts'
import { Journal } from './journal.ts'
import type { Outgoing } from './outgoing.ts'
import type { Outlet, Source } from './outlet.ts'
import { onceClosed } from './pipelined.ts'
import type { Ports } from './ports.ts'
import { refuse } from './refuse.ts'
import { Sending } from './sending.ts'
import type { Options } from './upgrading.ts'
import { isFinished, retire } from './versions.ts'
import { RequestView } from './view.ts'
import { ResponseWriter } from './writer.ts'

/** Takes a request over: it is answered and recorded, whatever happens. Never throws. */
export function handle(ports: Ports, request: IncomingMessage, response: ServerResponse, options: Options): void {
  new Exchange(ports, request, response, options).start()
}

class Exchange implements Outlet {
  readonly #ports: Ports
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #options: Options
  readonly #incoming: Incoming
  readonly #journal: Journal
  readonly #writer: ResponseWriter
  readonly #view: RequestView
  #admitted: Admitted | undefined
  #outgoing: Outgoing | undefined
  #sending: Sending | undefined
  #attempts: Attempts | undefined
  /** Tells the bytes of the host's own answer, where a failure was handed back to it. */
  #byHost: (() => number) | undefined

  constructor(ports: Ports, request: IncomingMessage, response: ServerResponse, options: Options) {
    this.#ports = ports
    this.#request = request
    this.#response = response
    this.#options = options
    this.#incoming = incoming(request, options, ports.trust())
    this.#journal = new Journal(ports, this.#incoming, response)
    this.#view = new RequestView(request, this.#incoming.client.address)
    this.#writer = new ResponseWriter(response)
  }

  start(): void {
    const request = this.#request
    const response = this.#response
    const incoming = this.#incoming
    this.#ports.opened()
    // Both sockets carry a handler from the first tick on: a reset is told by `close`, and must not end the process.
    request.on('error', ignore)
    response.on('error', ignore)
    // What ran before us took its time: somebody else has answered, or the client has left, and no event will tell us so.
    const begun = response.headersSent || this.#options.upgrading?.isAnswered === true
    if (begun) this.#journal.fail('internal', 'the response had begun before the balancer got the request')
    if (begun || response.destroyed || request.socket.destroyed) return this.#closed()
    onceClosed(request, response, () => this.#closed())
    const rule = this.#ports.denies(incoming.client.address)
    if (rule !== undefined) this.#journal.denied(rule)
    if (rule !== undefined) return this.#refuse('denied', rule)
    const admitted = look(this.#ports, incoming)
    if ('result' in admitted) return this.#refuse(admitted.result, admitted.detail)
    this.#admitted = admitted
    const [view, upgrading] = [this.#view, this.#options.upgrading]
    const sent = prepare(this.#ports, incoming, { admitted, upgrading, view }, (detail) => this.#flooded(detail))
    if ('result' in sent) return this.#refuse(sent.result, sent.detail)
    this.#outgoing = sent
    this.#journal.target = sent.target
    const onBodyFault = this.#onBodyFault
    this.#sending = new Sending(this.#ports, { incoming, admitted, outgoing: sent, view, onBodyFault, upgrading })
    if (this.#ports.log.refuses) return void this.#recordThenSend()
    // It may last for days: its record would come too late.
    if (this.once) this.#journal.received()
    this.#send()
  }

  async #recordThenSend(): Promise<void> {
    const denied = await recordFirst(this.#ports, this.#journal)
    if (denied === undefined) this.#send()
    else if (denied !== 'over') this.#refuse(denied)
  }

  #send(): void {
    this.#attempts = new Attempts(this.#ports, this.#journal, this.#view, this)
    if (!this.#attempts.start()) this.#refuse('no-backend')
  }

  requestFor(backend: BackendState): AttemptRequest {
    return this.#sending!.requestFor(backend)
  }

  get replayable(): boolean {
    return this.#sending!.replayable
  }

  // Nothing runs beside what becomes a tunnel.
  get whole(): boolean {
    return !this.once && this.#sending!.whole
  }

  get once(): boolean {
    return this.#options.upgrading?.asked !== undefined
  }

  onHints(headers: string[]): void {
    // A client of HTTP/1.0 would take it for the response (RFC 9110 section 15.2).
    if (this.#request.httpVersion !== '1.0') writeHints(this.#response, interimHead(headers))
  }

  onHead(from: Source, status: number, reason: string, headers: string[], resume: () => void): boolean {
    // Somebody else has answered meanwhile: `close` will tell.
    if (this.#response.headersSent) return false
    const bodiless = this.#request.method === 'HEAD' || status === 204 || status === 304
    const head = responseHead(headers, this.#incoming.requestId, !bodiless && this.#request.httpVersion !== '1.0')
    const fault = this.#outgoing?.changeResponse(head, status)
    if (fault !== undefined) {
      this.#attempts?.cancel('internal', fault)
      this.#refuse('internal', fault)
      return false
    }
    const cookie = this.#ports.bind(this.#view, from)
    if (cookie !== undefined) bindBy(cookie, head.headers, this.#response)
    const closing = this.#ports.closing()
    if (closing) retire(this.#request)
    if (closing || this.#options.upgrading !== undefined) head.headers.push('connection', 'close')
    writeHead(this.#response, status, reason, head.headers)
    this.#options.onHead?.()
    this.#sending?.free()
    const holds = this.#ports.log.waits && !bodiless
    this.#writer.begin(resume, head.length, { holds, whole: bodiless || head.length === 0 })
    return true
  }

  onSwitch(...[from, switched]: Parameters<Outlet['onSwitch']>): ReturnType<Outlet['onSwitch']> {
    if (this.#response.headersSent || this.#request.socket.destroyed) return undefined
    const cookie = (): string | undefined => this.#ports.bind(this.#view, from)
    const told = { incoming: this.#incoming, journal: this.#journal, outgoing: this.#outgoing }
    const facts = { ...told, response: this.#response, cookie }
    const tunnel = this.#options.upgrading?.open(facts, from, switched, () => this.#closed())
    this.#options.onHead?.()
    return tunnel
  }

  onData(chunk: Buffer): boolean {
    return this.#writer.write(chunk)
  }

  onEnd(trailers: readonly string[]): void {
    this.#journal.result = 'ok'
    if (this.#options.upgrading?.tunnel !== undefined) return this.#closed()
    const { log } = this.#ports
    if (!log.waits) return this.#finish(trailers)
    // The last byte waits until its line is on disk. If that fails the client sees a cut, unless the host chose to serve
    // all the same: it must not take a response as complete that the log cannot show.
    const ticket = this.#record()
    if (ticket === undefined) return
    log.durable(ticket).then(
      () => this.#finish(trailers),
      () => (log.refuses ? cut(this.#response) : this.#finish(trailers)),
    )
  }

  #finish(trailers: readonly string[]): void {
    this.#sending?.close()
    this.#writer.end(trailers)
    drain(this.#request, this.#response, this.#ports.clock)
  }

  readonly #onBodyFault: OnBodyFault = (result, detail) => {
    // It is settled, and only waits for its line.
    if (this.#journal.result !== undefined) return
    this.#attempts?.cancel(result, detail)
    this.onFail(result, detail)
  }

  onFail(failed: Exclude<RequestResult, 'ok'>, detail: string | undefined): void {
    // What our own close cut off is no fault of the backend.
    const result = failed === 'internal' && this.#ports.closing() ? 'closing' : failed
    if (!this.#response.headersSent) return this.#refuse(result, detail)
    this.#journal.fail(result, detail)
    if (this.#options.upgrading?.tunnel !== undefined) this.#closed()
    else cut(this.#response)
  }

  #refuse(result: Exclude<RequestResult, 'ok'>, detail?: string): void {
    this.#journal.fail(result, detail)
    const response = this.#response
    if (response.closed || response.headersSent) return cut(response)
    this.#sending?.close()
    const facts = {
      ports: this.#ports,
      incoming: this.#incoming,
      options: this.#options,
      response,
      writer: this.#writer,
      unread: this.#admitted?.body !== 'none' && !this.#request.complete,
      record: (status: number, size: number) => this.#record(status, size),
    }
    this.#byHost = refuse(facts, result, detail)
  }

  // A client that talks in the new protocol before it was switched to is not well-formed.
  #flooded(detail: string): void {
    if (this.#journal.result !== undefined || this.#response.headersSent) return
    this.#attempts?.cancel('client-gone', detail)
    this.#refuse('malformed', detail)
  }

  // The one place where every request ends: all of its response was handed to the system, or the connection closed before.
  #closed(): void {
    const journal = this.#journal
    const tunnel = this.#options.upgrading?.tunnel
    const finished = isFinished(this.#response) || (tunnel !== undefined && journal.result === 'ok')
    const breach = finished ? undefined : breachOf(this.#request)
    if (journal.result === undefined || (journal.result === 'ok' && !finished)) {
      const result = finished ? 'internal' : 'client-gone'
      journal.fail(result, finished ? 'somebody else ended the response' : undefined)
      this.#attempts?.cancel(result, journal.detail ?? result)
    } else if (this.#byHost !== undefined && !finished) journal.fail('client-gone', `unanswered: ${journal.result}`)
    if (breach !== undefined && journal.result === 'client-gone') journal.fail(breach.result, breach.detail)
    this.#sending?.end()
    this.#options.upgrading?.over()
    this.#record(breach?.status)
    this.#ports.closed()
  }

  #record(answered?: number, size = this.#byHost?.() ?? this.#writer.size): Ticket | undefined {
    const sent = this.#response.headersSent ? this.#response.statusCode : answered
    const gone = this.#journal.result === 'client-gone' && this.#options.upgrading?.tunnel === undefined
    return this.#journal.completed(gone ? 499 : sent, this.#sending?.size ?? 0, size)
  }
}

const ignore = (): void => undefined
