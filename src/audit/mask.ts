// The mask: how a value that is not kept is told.
import type { SecretKey } from '../secret.ts'

/** Names with their values, or how long those were and what stands for them. */
export type Values = Record<string, string[] | Masked>

/** Several values of one name are told as one. */
export interface Masked {
  hmac?: string
  length: number
}

/** Which bytes a text stands for: header values are bytes, each of which Node has made a character; all else is Unicode. */
export type Encoding = 'latin1' | 'utf8'

export class Mask {
  readonly #key: SecretKey | undefined

  constructor(key: SecretKey | undefined) {
    this.#key = key
  }

  /** Whether more than lengths is told. */
  get keyed(): boolean {
    return this.#key !== undefined
  }

  /** The length of all of them together, and the HMAC of them with line feeds in between. */
  values(values: readonly string[], encoding: Encoding): Masked {
    let length = 0
    for (const value of values) length += value.length
    return this.#key === undefined ? { length } : { hmac: this.#key.hmac(values.join('\n'), encoding), length }
  }

  one(value: string, encoding: Encoding): Masked {
    return this.#key === undefined
      ? { length: value.length }
      : { hmac: this.#key.hmac(value, encoding), length: value.length }
  }

  /** The same within a text: `[6]`, with a key `[6 <key id>:<hmac>]`. */
  text(value: string, encoding: Encoding): string {
    return this.#key === undefined ? `[${value.length}]` : `[${value.length} ${this.#key.hmac(value, encoding)}]`
  }
}
