// Redaction of facts: what an event holds besides headers and URLs.
import type { EventFields, EventName } from '../events.ts'
import type { ClientMask } from './client.ts'
import { type ScrubFunction, scrubbed, scrubbedText } from './scrub.ts'
import { safeText, showing } from './text.ts'
import type { TraceMask } from './trace-mask.ts'

type Members = Record<string, unknown>

/** The members of each part of an event that hold text in words of others; `*` for all of it. */
const texts: Readonly<Record<string, readonly string[]>> = {
  access: ['rule', 'detail'],
  actor: ['id', 'auth'],
  app: ['*'],
  backend: ['last_error'],
  balancer: ['config'],
  config: ['message', 'ticket', 'detail', 'attempted', 'before', 'after', 'changes'],
  discovery: ['of', 'detail', 'problems', 'before', 'after'],
  lb: ['request_id', 'client_request_id', 'app_request_id', 'detail'],
  log: ['last_error'],
}
const parts = Object.keys(texts)

/** Longest name of a route or a method, and longest subject of a certificate, in characters. */
const mostText = 1024
const mostMethod = 64

export class Facts {
  readonly #scrub: ScrubFunction
  readonly #client: ClientMask | undefined
  readonly #traces: TraceMask

  constructor(scrub: ScrubFunction, client: ClientMask | undefined, traces: TraceMask) {
    this.#scrub = scrub
    this.#client = client
    this.#traces = traces
  }

  /** The fields as they may be recorded. Those of requests, which are many, are changed in their place. */
  redact<N extends EventName>(name: N, fields: EventFields<N>): EventFields<N> {
    if (name === 'request.completed' || name === 'request.received')
      return this.#request(fields as unknown as EventFields<'request.completed'>) as unknown as EventFields<N>
    const given = fields as Members
    let out: Members | undefined
    for (const part of parts) {
      const value = given[part]
      if (value === undefined) continue
      out ??= { ...given }
      out[part] = this.#part(value, texts[part]!)
    }
    if (given.client !== undefined) {
      out ??= { ...given }
      this.#address(out)
    }
    return (out ?? given) as EventFields<N>
  }

  #part(part: unknown, names: readonly string[]): unknown {
    if (names[0] === '*') return scrubbed(part, this.#scrub)
    const copy = { ...(part as Members) }
    for (const name of names) if (copy[name] !== undefined) copy[name] = scrubbed(copy[name], this.#scrub)
    if (copy.decision !== undefined) copy.decision = this.#traces(copy.decision as object)
    return copy
  }

  #request(fields: EventFields<'request.completed'>): EventFields<'request.completed'> {
    const { http, lb, tls } = fields
    this.#address(fields as Members)
    const { method } = http.request
    if (method.length > 12) http.request.method = safeText(method, mostMethod, this.#scrub)
    if (http.route !== undefined) http.route = this.#words(http.route)
    if (tls?.client !== undefined) {
      const { client } = tls
      fields.tls = { ...tls, client: { ...client, subject: this.#words(client.subject) } }
    }
    // What the host says of it.
    if (fields.app !== undefined) fields.app = scrubbed(fields.app, this.#scrub)
    if (lb.detail !== undefined) lb.detail = this.#words(lb.detail)
    if (lb.decision?.trace !== undefined) lb.decision = this.#traces(lb.decision)
    // What was received has none.
    for (const attempt of lb.attempts ?? []) {
      if (attempt.detail !== undefined) attempt.detail = this.#words(attempt.detail)
      if (attempt.decision?.trace !== undefined) attempt.decision = this.#traces(attempt.decision)
    }
    return fields
  }

  /** Words of a backend, of a library or of the host: bounded, with letters of all scripts. */
  #words(text: string): string {
    const kept = scrubbedText(text, this.#scrub)
    return showing(kept.length > mostText ? `${kept.slice(0, mostText)}[+${kept.length - mostText}]` : kept)
  }

  /** The client by option; and the peer, where it is the client. A proxy's address is no client's. */
  #address(fields: Members): void {
    const { client, network } = fields as {
      client: { address: string; source: string }
      network?: { peer: { address: string } }
    }
    const given = client.source === 'given'
    if (this.#client === undefined) {
      if (given) fields.client = { ...client, address: this.#given(client.address) }
      return
    }
    fields.client = { ...client, address: this.#given(this.#client.address(client.address)) }
    if (client.source === 'peer' && network !== undefined)
      fields.network = { ...network, peer: { ...network.peer, address: this.#client.address(network.peer.address) } }
  }

  /** What the host gives for an address may be any text, which is bounded already. */
  #given(address: string): string {
    return showing(scrubbedText(address, this.#scrub))
  }
}
