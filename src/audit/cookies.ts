// Redaction of cookies within their header: the values of listed names are kept, and the others told by their length.
import type { Mask } from './mask.ts'
import { type Keep, type Name, namesOf } from './names.ts'
import type { ScrubFunction } from './scrub.ts'
import { safeText } from './text.ts'

/** How many cookies of one header are told one by one. */
const mostCookies = 64
const headerLimit = 4096

export class Cookies {
  readonly #mask: Mask
  readonly #scrub: ScrubFunction
  readonly #nameOf: (name: string) => Name

  constructor(keep: Keep, mask: Mask, scrub: ScrubFunction) {
    this.#mask = mask
    this.#scrub = scrub
    this.#nameOf = namesOf(keep, scrub)
  }

  /** The value of `Cookie` (RFC 6265 section 4.2): `theme=dark; session=[32]`. */
  text(header: string): string {
    const all = header.split(';')
    const told = all.slice(0, mostCookies).map((pair) => this.#pair(pair.trim()))
    if (all.length > mostCookies) told.push(`[+${all.length - mostCookies}]`)
    return bounded(told.join('; '))
  }

  /** The value of `Set-Cookie` (section 4.1): its attributes hold no secret. */
  setText(header: string): string {
    const end = header.indexOf(';')
    if (end === -1) return bounded(this.#pair(header.trim()))
    return bounded(this.#pair(header.slice(0, end).trim()) + safeText(header.slice(end), undefined, this.#scrub))
  }

  #pair(pair: string): string {
    const equals = pair.indexOf('=')
    // What has no name is a value (RFC 6265bis section 5.6).
    const { safe, kept } = this.#nameOf(equals === -1 ? '' : pair.slice(0, equals).trimEnd())
    const value = equals === -1 ? pair : pair.slice(equals + 1).trimStart()
    const told = kept ? safeText(value, undefined, this.#scrub) : this.#mask.text(value, 'latin1')
    return equals === -1 ? told : `${safe}=${told}`
  }
}

const bounded = (text: string): string =>
  text.length > headerLimit ? `${text.slice(0, headerLimit)}[+${text.length - headerLimit}]` : text
