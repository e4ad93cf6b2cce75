// Who may send and ask: tokens, or a function of the host's.
import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Refusal } from './answer.ts'
import { matches, type OriginParts, partsOf } from './origins.ts'

/** What somebody wants: to send something of a log, or to read the roster. */
export interface Wish {
  readonly action: 'send' | 'roster'
  /** Where something is sent: `<service>/<instance>/<log>/<id>`. */
  readonly origin?: string
}

export interface TokenGrant {
  readonly token: string
  /** Writers, as `<service>/<instance>` with `*` for any characters, whose logs it may send. The roster shows those only. Default all. */
  readonly origins?: readonly string[]
  /** Whether it may send. Default true. */
  readonly send?: boolean
}

export type Authorize = (request: IncomingMessage, wish: Wish) => boolean | Promise<boolean>

/** Who was let in. */
export interface Admitted {
  /** By whom new logs are counted. */
  readonly sender: string
  readonly sees: (parts: OriginParts) => boolean
}

const digest = (token: string): Buffer => hash('sha256', token, 'buffer')

export class Guard {
  private readonly grants: readonly { readonly digest: Buffer; readonly grant: TokenGrant }[]

  constructor(
    tokens: readonly (string | TokenGrant)[],
    private readonly authorize: Authorize | undefined,
  ) {
    this.grants = tokens.map((one) => {
      const grant = typeof one === 'string' ? { token: one } : one
      return { digest: digest(grant.token), grant }
    })
  }

  async admit(request: IncomingMessage, wish: Wish): Promise<Admitted> {
    const parts = wish.origin === undefined ? undefined : partsOf(wish.origin)
    const address = request.socket?.remoteAddress ?? 'unknown'
    const place = this.grantOf(request)
    if (place >= 0) {
      const { origins, send = true } = this.grants[place]!.grant
      const sees = (one: OriginParts): boolean => origins === undefined || origins.some((glob) => matches(glob, one))
      if ((wish.action === 'send' && !send) || (parts !== undefined && !sees(parts)))
        throw new Refusal(403, 'not-allowed', `this token may not send ${wish.origin}`)
      return { sender: `token ${place}`, sees }
    }
    if (this.authorize === undefined)
      throw new Refusal(401, 'token-unknown', 'expected `authorization: Bearer <token>` with a known token', {
        headers: { 'www-authenticate': 'Bearer' },
      })
    if ((await this.authorize(request, wish)) !== true) throw new Refusal(403, 'not-allowed', 'this is not allowed')
    return { sender: address, sees: () => true }
  }

  /** Which token it is; -1 for none. Takes the same time for every wrong one. */
  private grantOf({ headers }: IncomingMessage): number {
    const token = /^Bearer +([^\s]+) *$/i.exec(headers.authorization ?? '')?.[1]
    if (token === undefined) return -1
    const given = digest(token)
    let found = -1
    for (const [i, grant] of this.grants.entries()) if (timingSafeEqual(grant.digest, given)) found = i
    return found
  }
}
