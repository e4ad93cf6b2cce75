// The HTTP face of a witness: finds out what a request wants, reads it within bounds, and answers it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import { type Answered, busy, malformed, Refusal } from './answer.ts'
import { type BodyRequest, readBody } from './body.ts'
import type { Guard } from './guard.ts'
import type { Intake } from './intake.ts'
import { readAddCheckpoint, readNotes } from './notes.ts'
import { partsOf } from './origins.ts'
import type { RosterKeeper } from './roster.ts'

export interface HttpParts {
  readonly guard: Guard
  readonly clock: Clock
  readonly limits: { readonly bodyBytes: number; readonly bodyMs: number; readonly requests: number }
  /** What can be asked once the witness is open. Rejects if it cannot be opened. */
  readonly opened: () => Promise<{ readonly intake: Intake; readonly roster: RosterKeeper; readonly vkey: string }>
  readonly onRefused: (refusal: Refusal, facts: { origin?: string; address: string; path: string }) => void
  readonly onFault: (error: unknown) => void
}

export type Next = (error?: unknown) => void

/** Requests that share a bound. */
interface Lane {
  active: number
  readonly most: number
}

interface Route {
  readonly method: 'GET' | 'POST'
  /** Whether a body is read of anybody. */
  readonly open?: boolean
  readonly act: (request: IncomingMessage) => Promise<Answered>
}

/** Checkpoints are small: a proof has at most 63 hashes. */
const mostNoteBytes = 65_536
const strangersShare = 8

export class Http {
  private readonly admitted: Lane
  /** Those that need no token have a small share of their own: slow ones of strangers keep no writer out. */
  private readonly strangers: Lane
  private readonly routes: Readonly<Record<string, Route>> = {
    '/lines': { method: 'POST', act: (request) => this.send(request, 'lines') },
    '/leaves': { method: 'POST', act: (request) => this.send(request, 'leaves') },
    '/checkpoint': { method: 'POST', act: (request) => this.checkpoint(request) },
    '/add-checkpoint': { method: 'POST', open: true, act: (request) => this.addCheckpoint(request) },
    '/roster': { method: 'GET', act: (request) => this.roster(request) },
    '/vkey': { method: 'GET', act: () => this.vkey() },
  }

  constructor(private readonly parts: HttpParts) {
    const { requests } = parts.limits
    this.admitted = { active: 0, most: requests }
    this.strangers = { active: 0, most: Math.ceil(requests / strangersShare) }
  }

  /** Answers; what is none of its paths goes to `next`, where there is one. Never throws, never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse, url: string, next?: Next): Promise<void> {
    const path = url.split('?', 1)[0]!.replace(/\/$/, '')
    const route = Object.hasOwn(this.routes, path) ? this.routes[path] : undefined
    if (route === undefined && next !== undefined) return next()
    // What breaks after the answer concerns nobody.
    request.on('error', ignore)
    response.on('error', ignore)
    let answered: Answered
    try {
      answered = await this.answer(request, route)
    } catch (error) {
      answered = this.refused(request, path, error)
    }
    reply(request, response, answered)
  }

  private async answer(request: IncomingMessage, route: Route | undefined): Promise<Answered> {
    if (route === undefined) throw new Refusal(404, 'no-such-path', 'a witness has no such path')
    if (request.method !== route.method && !(request.method === 'HEAD' && route.method === 'GET'))
      throw new Refusal(405, 'method', `expected ${route.method}`, { headers: { allow: route.method } })
    const lane = route.open === true ? this.strangers : this.admitted
    if (lane.active >= lane.most) throw busy('too many requests at once')
    lane.active++
    try {
      return await route.act(request)
    } finally {
      lane.active--
    }
  }

  private refused(request: IncomingMessage, path: string, error: unknown): Answered {
    if (!(error instanceof Refusal)) {
      this.parts.onFault(error)
      return busy('the witness cannot do it now', 5)
    }
    const { origin } = originOf(request)
    const address = request.socket?.remoteAddress ?? 'unknown'
    this.parts.onRefused(error, { address, path, ...(partsOf(origin) === undefined ? {} : { origin }) })
    return error
  }

  private async send(request: IncomingMessage, what: 'lines' | 'leaves'): Promise<Answered> {
    const { origin, first } = originOf(request)
    if (partsOf(origin) === undefined || first === undefined)
      throw malformed('expected `auditlb-origin: <service>/<instance>/<log>/<id>` and `auditlb-first: <index>`')
    const { sender } = await this.parts.guard.admit(request, { action: 'send', origin })
    const { intake } = await this.parts.opened()
    return intake[what](origin, first, await this.body(request, this.parts.limits.bodyBytes), sender)
  }

  private async checkpoint(request: IncomingMessage): Promise<Answered> {
    const vkey = request.headers['auditlb-vkey']
    const { origin } = originOf(request)
    if (typeof vkey !== 'string' || partsOf(origin) === undefined)
      throw malformed('expected `auditlb-origin: <service>/<instance>/<log>/<id>` and `auditlb-vkey: <verifier key>`')
    await this.parts.guard.admit(request, { action: 'send', origin })
    const { intake } = await this.parts.opened()
    return intake.checkpoints(origin, readNotes(await this.body(request, mostNoteBytes)), vkey)
  }

  /** The signature of the log is what lets it in: so says the protocol. */
  private async addCheckpoint(request: IncomingMessage): Promise<Answered> {
    const { intake } = await this.parts.opened()
    const { old, proof, note } = readAddCheckpoint(await this.body(request, mostNoteBytes))
    return intake.addCheckpoint(old, proof, note)
  }

  private async roster(request: IncomingMessage): Promise<Answered> {
    const { sees } = await this.parts.guard.admit(request, { action: 'roster' })
    const { roster } = await this.parts.opened()
    return { status: 200, body: roster.get(sees) }
  }

  private async vkey(): Promise<Answered> {
    const { vkey } = await this.parts.opened()
    return { status: 200, body: `${vkey}\n` }
  }

  private body(request: IncomingMessage, bytes: number): Promise<Buffer> {
    return readBody(request as BodyRequest, { bytes, ms: this.parts.limits.bodyMs }, this.parts.clock)
  }
}

const ignore = (): void => undefined

function originOf({ headers }: IncomingMessage): { readonly origin: string; readonly first: number | undefined } {
  const [origin, first] = [headers['auditlb-origin'], headers['auditlb-first']]
  const index = typeof first === 'string' && /^(0|[1-9]\d{0,15})$/.test(first) ? Number(first) : undefined
  return { origin: typeof origin === 'string' ? origin : '', first: Number.isSafeInteger(index) ? index : undefined }
}

function reply(request: IncomingMessage, response: ServerResponse, { status, body, headers = {} }: Answered): void {
  if (response.headersSent || response.destroyed) return
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`
  const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json'
  // A connection has no end of its own in HTTP/2, and a body that was not read ends with its stream.
  const { connection, ...own } = headers
  const unread = !request.readableEnded && request.httpVersionMajor < 2
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...own,
    ...(unread && (connection !== undefined || request.method === 'POST') ? { connection: 'close' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : text)
}
