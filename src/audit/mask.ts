// The mask: how a value that is not kept is told.
import type { SecretKey } from '../secret.ts'
import { holdsAddress } from './addresses.ts'

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
  readonly #addresses: boolean

  /** `addresses`: whether those of clients may be told. If not, no HMAC is made of them: it would outlive the key of its month. */
  constructor(key: SecretKey | undefined, addresses: boolean) {
    this.#key = key
    this.#addresses = addresses
  }

  /** Whether more than lengths is told. */
  get keyed(): boolean {
    return this.#key !== undefined
  }

  /** The length of all of them together, and the HMAC of them with line feeds in between. */
  values(values: readonly string[], encoding: Encoding): Masked {
    let length = 0
    for (const value of values) length += value.length
    return this.#told(length, this.#key === undefined ? undefined : this.#hmac(values.join('\n'), encoding))
  }

  one(value: string, encoding: Encoding): Masked {
    return this.#told(value.length, this.#hmac(value, encoding))
  }

  /** The same within a text: `[6]`, with a key `[6 <key id>:<hmac>]`. */
  text(value: string, encoding: Encoding): string {
    const hmac = this.#hmac(value, encoding)
    return hmac === undefined ? `[${value.length}]` : `[${value.length} ${hmac}]`
  }

  #told(length: number, hmac: string | undefined): Masked {
    return hmac === undefined ? { length } : { hmac, length }
  }

  #hmac(value: string, encoding: Encoding): string | undefined {
    if (this.#key === undefined || (!this.#addresses && holdsAddress(value))) return undefined
    return this.#key.hmac(value, encoding)
  }
}
