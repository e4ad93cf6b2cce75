// A request of HTTP as a pick sees it.
import type { IncomingMessage } from 'node:http'
import type { PickRequest } from '../request.ts'

export class RequestView implements PickRequest {
  readonly #request: IncomingMessage
  readonly client: { readonly address: string }
  /** Written once the gate has found it well-formed. */
  path = ''
  /** What is asked for. Written with the path. */
  host = ''

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
    // In HTTP/2 it may have the name `:authority` only, and the authority of an absolute form counts more than `Host`.
    if (this.host !== '') headers.host = this.host
    return headers
  }
}
