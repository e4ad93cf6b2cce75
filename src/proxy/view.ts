// A request of HTTP as a pick sees it.
import type { IncomingMessage } from 'node:http'
import type { PickRequest } from '../request.ts'

export class RequestView implements PickRequest {
  readonly #request: IncomingMessage
  readonly client: { readonly address: string }
  /** Written once the gate has found it well-formed. */
  path = ''

  constructor(request: IncomingMessage, address: string) {
    this.#request = request
    this.client = { address }
  }

  get method(): string | undefined {
    return this.#request.method
  }

  /** Node builds the object on first use: a strategy that does not look at headers does not pay for it. */
  get headers(): PickRequest['headers'] {
    const { headers } = this.#request
    // In HTTP/2 the host may have the name `:authority` only.
    const authority = headers[':authority']
    if (typeof authority === 'string') headers.host ??= authority
    return headers
  }
}
