// Redaction of URLs: the target of a request, and those that stand in values that are kept.
import { withoutUserinfo } from '../secret.ts'
import type { Mask, Values } from './mask.ts'
import { type Keep, mostNames, type Name, namesOf } from './names.ts'
import { compileTemplates, type PathFunction, type Templated } from './paths.ts'
import { Collected, eachParameter } from './query.ts'
import type { ScrubFunction } from './scrub.ts'
import { safeText } from './text.ts'

export interface RedactedUrl {
  path: string
  /** What stood where a template has a name. */
  path_params?: Values | undefined
  query?: Values
  query_omitted?: number | undefined
}

export interface UrlParts {
  /** Of parameters. */
  readonly keep: Keep
  readonly templates: readonly string[] | PathFunction
  readonly scrub: ScrubFunction
  readonly mask: Mask
  /** Hears of what a function of the user's throws. */
  readonly onFault: (error: unknown) => void
}

/** Parameters of a path (RFC 3986 section 3.3) that tell who somebody is, such as `;jsessionid=…`. */
const ofSession = /sess|sid|auth|token|key|secret|passw/i

/** How much of a path a function of the user's gets: what it does may take more than linear time. */
const mostPath = 2048

/** A target that is a path and nothing else, without escapes: nearly all are. */
const plain = /^\/(?!\/)[\w./~-]{0,1000}$/
const absolute = /^[A-Za-z][A-Za-z0-9+.-]{0,31}:\/\/[^/?#]*/

export class Urls {
  readonly #parts: UrlParts
  readonly #nameOf: (name: string) => Name
  readonly #template: ((path: string) => Templated | undefined) | undefined
  readonly #text: (value: string) => string

  constructor(parts: UrlParts) {
    const { keep, templates, scrub } = parts
    this.#parts = parts
    this.#nameOf = namesOf(keep, scrub)
    this.#template =
      typeof templates === 'function'
        ? (path) => this.#byFunction(templates, path)
        : templates.length === 0
          ? undefined
          : compileTemplates(templates)
    this.#text = (value) => this.value(value)
  }

  /** The target of a request, split: the path, and each query parameter kept or told by its length. */
  target(target: string): RedactedUrl {
    if (this.#template === undefined && plain.test(target)) {
      const kept = this.#parts.scrub(target)
      return { path: kept === target ? target : safeText(kept) }
    }
    const mark = target.indexOf('?')
    const asked = this.#path(mark === -1 ? target : target.slice(0, mark))
    const path = safeText(asked.path, undefined, this.#parts.scrub)
    const params = asked.params.length === 0 ? undefined : this.#params(asked)
    if (mark === -1) return params === undefined ? { path } : { path, path_params: params }
    const collected = new Collected()
    eachParameter(target.slice(mark + 1), this.#nameOf, (name, value) => collected.put(name, value))
    const { omitted } = collected
    return {
      path,
      path_params: params,
      query: collected.told(this.#parts.mask, this.#text),
      query_omitted: omitted === 0 ? undefined : omitted,
    }
  }

  /** A value that is kept: text, and a URL where it is one. */
  value(value: string): string {
    return value.includes('://') && absolute.test(value)
      ? this.text(value)
      : safeText(value, undefined, this.#parts.scrub)
  }

  /** A URL in one piece, relative ones too: `/users/{id}?token=[6]#[12]`. */
  text(url: string): string {
    return safeText(this.hidden(url), undefined, this.#parts.scrub)
  }

  /** The same, neither bounded nor escaped. */
  hidden(url: string): string {
    const { mask } = this.#parts
    const hash = url.indexOf('#')
    const whole = hash === -1 ? url : url.slice(0, hash)
    const mark = whole.indexOf('?')
    let out = this.#path(mark === -1 ? whole : whole.slice(0, mark)).path
    if (mark !== -1) {
      const told: string[] = []
      let more = 0
      eachParameter(whole.slice(mark + 1), this.#nameOf, ({ safe, kept }, value, written) => {
        if (told.length === mostNames) more++
        else told.push(kept ? withoutUserinfo(written) : `${safe}${safe === '' ? '' : '='}${mask.text(value, 'utf8')}`)
      })
      out += `?${told.join('&')}${more === 0 ? '' : `&[+${more}]`}`
    }
    return hash === -1 ? out : `${out}#${mask.text(url.slice(hash + 1), 'utf8')}`
  }

  /** Without user and password, with the names of a template, and without the values of its parameters. */
  #path(given: string): Templated {
    const hash = given.indexOf('#')
    if (hash !== -1) {
      const { path, params } = this.#path(given.slice(0, hash))
      return { path: `${path}#${this.#parts.mask.text(given.slice(hash + 1), 'latin1')}`, params }
    }
    let origin = ''
    let path = given
    // In the form of an origin (RFC 9112 section 3.2.1) there is no authority. Who puts user and password there means one.
    if (path.startsWith('//')) path = path.replace(/^\/\/[^/]*@/, '//')
    else if (!path.startsWith('/')) {
      origin = withoutUserinfo(absolute.exec(path)?.[0] ?? '')
      if (origin !== '') path = path.replace(absolute, '')
    }
    const templated = path === '' ? undefined : this.#template?.(path)
    if (templated !== undefined)
      return origin === '' ? templated : { path: `${origin}${templated.path}`, params: templated.params }
    return { path: `${origin}${path.includes(';') ? this.#withoutSession(path) : path}`, params: [] }
  }

  // What an attacker puts there (`/..;p=1/admin`) is to be seen, and so not all are withheld.
  #withoutSession(path: string): string {
    return path.replace(/;([^;=/]*)=([^;/]*)/g, (written, name: string, value: string) =>
      this.#nameOf(name).kept || !ofSession.test(name) ? written : `;${name}=${this.#parts.mask.text(value, 'latin1')}`,
    )
  }

  #params({ params }: Templated): Values {
    const collected = new Collected()
    for (const [safe, value] of params) collected.put({ safe, kept: false }, value)
    return collected.told(this.#parts.mask, this.#text)
  }

  #byFunction(template: PathFunction, path: string): Templated {
    try {
      const made: unknown = template(path.slice(0, mostPath))
      if (typeof made !== 'string') throw new Error('the path function returned no text')
      return { path: made, params: [] }
    } catch (error) {
      this.#parts.onFault(error)
      return { path: `[${path.length}]`, params: [] }
    }
  }
}
