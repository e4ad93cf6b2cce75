// A response of HTTP/1.1 from its bytes: head, body by one framing, trailers. What is not by the letter is refused.
import { checkTrailers, framingOf } from './response-framing.ts'
import { ParseFault, type ResponseHead, readHead, readTrailers } from './response-head.ts'

/** Who is told what was read, in order. */
export interface ResponseSink {
  /** An interim response. */
  onInterim(head: ResponseHead): void
  onHead(head: ResponseHead): void
  /** A part of the body; false stops the parser until it is to read on. */
  onBody(chunk: Buffer): boolean
}

type State =
  | 'head'
  | 'length'
  | 'to-close'
  | 'chunk-size'
  | 'chunk-extension'
  | 'chunk-size-lf'
  | 'chunk'
  | 'chunk-cr'
  | 'chunk-lf'
  | 'trailers'
  | 'done'

const lf = 0x0a
const cr = 0x0d
const semicolon = 0x3b

/** Fields of no more bytes are read anew with each part that comes. */
const shortHead = 1024

/** Longer sizes are no exact numbers. */
const mostSizeDigits = 13
/** Extensions of all chunks of a body together, in bytes: nobody reads them. */
const mostExtensions = 16_384
/** Names with or without a value, as RFC 9112 section 7.1.1 has them, but for spaces around them. */
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const extension = `${token}(?:=(?:${token}|"(?:[\\t !#-[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"))?`
const extensions = new RegExp(`^${extension}(?:;${extension})*$`)

/** How many interim responses there may be before the response: some tell of progress, and none must do so without end. */
const mostInterim = 100

/** Reads one response. After an exception, and once it is done, nothing may be given to it any more. */
export class ResponseParser {
  readonly #sink: ResponseSink
  /** Whether the request was a HEAD: the response has no body, whatever it says. */
  readonly #isHead: boolean
  #state: State = 'head'
  #bytes: Buffer = none
  #at = 0
  /** Of the body, or of the chunk: what is still to come. */
  #left = 0
  #digits = 0
  #extensions = 0
  #interim = 0
  /** Of fields that are not complete: how many bytes were there when they were read last, and searched for their end. */
  #looked = 0
  #searched = 0
  #persists = false
  trailers: string[] = []
  /** The value of `Keep-Alive`. */
  keepAlive: string | undefined

  constructor(sink: ResponseSink, isHead: boolean) {
    this.#sink = sink
    this.#isHead = isHead
  }

  /** Whether the response is whole. */
  get done(): boolean {
    return this.#state === 'done'
  }

  /** Whether a byte of it has come. */
  get began(): boolean {
    return this.#bytes !== none
  }

  /** Whether there is something that is not read yet. */
  get holds(): boolean {
    return this.#at < this.#bytes.length
  }

  /** Once it is done: whether its connection may carry another one. Not so where bytes follow that nobody asked for. */
  get reusable(): boolean {
    return this.#persists && !this.holds
  }

  /** Reads on; without a chunk, what is there already. Throws {@link ParseFault}, and what the sink throws. */
  read(chunk?: Buffer): void {
    if (chunk !== undefined) {
      // Few heads come in parts, and bytes that are left over nowhere else.
      this.#bytes = this.holds ? Buffer.concat([this.#bytes.subarray(this.#at), chunk]) : chunk
      this.#at = 0
    }
    while (this.#state !== 'done' && this.holds) if (!this.#step()) return
  }

  /** The connection has ended, in order. */
  end(): void {
    if (this.#state === 'to-close') this.#state = 'done'
  }

  /** False to wait: for more bytes, or for the sink. */
  #step(): boolean {
    switch (this.#state) {
      case 'head':
        return this.#head()
      case 'length':
      case 'chunk':
        return this.#body()
      case 'to-close': {
        const rest = this.#at === 0 ? this.#bytes : this.#bytes.subarray(this.#at)
        this.#at = this.#bytes.length
        return this.#sink.onBody(rest)
      }
      case 'chunk-extension':
        return this.#extension()
      case 'trailers':
        return this.#trailers()
      default:
        this.#between(this.#bytes[this.#at++]!)
        return true
    }
  }

  #head(): boolean {
    if (!this.#isWorthALook()) return false
    const bytes = this.#at === 0 ? this.#bytes : this.#bytes.subarray(this.#at)
    const head = readHead(bytes)
    if (head === undefined) return false
    this.#at += head.end
    this.#looked = 0
    this.#searched = 0
    if (head.status === 101) throw new ParseFault('a switch of protocols that nobody asked for')
    if (head.status < 200) {
      if (++this.#interim > mostInterim) throw new ParseFault(`more than ${mostInterim} interim responses`)
      this.#sink.onInterim(head)
    } else {
      this.#frame(head)
      this.#sink.onHead(head)
    }
    return true
  }

  /** Whether fields are read once more. Not for each byte that comes of long ones: that would take the square of their length. */
  #isWorthALook(): boolean {
    const bytes = this.#bytes
    const size = bytes.length - this.#at
    const from = this.#at + Math.max(0, this.#searched - 3)
    this.#searched = size
    if (size > shortHead && size < 2 * this.#looked && bytes.indexOf('\r\n\r\n', from, 'latin1') === -1) return false
    this.#looked = size
    return true
  }

  #frame(head: ResponseHead): void {
    const { body, length, persists, keepAlive } = framingOf(head, this.#isHead)
    this.#left = length
    this.#persists = persists
    this.keepAlive = keepAlive
    this.#state = body
  }

  #body(): boolean {
    const bytes = this.#bytes
    const from = this.#at
    const end = Math.min(bytes.length, from + this.#left)
    this.#at = end
    this.#left -= end - from
    if (this.#left === 0) this.#state = this.#state === 'length' ? 'done' : 'chunk-cr'
    return this.#sink.onBody(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end))
  }

  /** One byte of what stands between chunks (section 7.1): a size, perhaps with extensions, and the ends of lines. */
  #between(byte: number): void {
    switch (this.#state) {
      case 'chunk-size':
        if (byte !== cr && byte !== semicolon) this.#digit(byte)
        else if (this.#digits === 0) throw new ParseFault('a chunk without a size')
        else this.#state = byte === cr ? 'chunk-size-lf' : 'chunk-extension'
        return
      case 'chunk-size-lf':
        if (byte !== lf) throw new ParseFault('the size of a chunk that does not end')
        this.#state = this.#left === 0 ? 'trailers' : 'chunk'
        return
      case 'chunk-cr':
        if (byte !== cr) throw new ParseFault('a chunk that does not end')
        this.#state = 'chunk-lf'
        return
      default:
        if (byte !== lf) throw new ParseFault('a chunk that does not end')
        this.#digits = 0
        this.#state = 'chunk-size'
    }
  }

  /** The rest of the line behind a size, once it is there. */
  #extension(): boolean {
    const end = this.#bytes.indexOf(cr, this.#at)
    const size = (end === -1 ? this.#bytes.length : end) - this.#at
    if (this.#extensions + size > mostExtensions) throw new ParseFault('extensions that are too long')
    if (end === -1) return false
    if (!extensions.test(this.#bytes.toString('latin1', this.#at, end)))
      throw new ParseFault('an extension that is none')
    this.#extensions += size
    this.#at = end + 1
    this.#state = 'chunk-size-lf'
    return true
  }

  #digit(byte: number): void {
    const digit = byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57
    const isHex = byte <= 0x39 ? digit >= 0 : digit >= 10 && digit < 16
    if (!isHex || ++this.#digits > mostSizeDigits) throw new ParseFault('a chunk whose size is none')
    this.#left = this.#left * 16 + digit
  }

  #trailers(): boolean {
    if (!this.#isWorthALook()) return false
    const read = readTrailers(this.#bytes, this.#at)
    if (read === undefined) return false
    checkTrailers(read.fields)
    this.#at = read.end
    this.trailers = read.fields
    this.#state = 'done'
    return true
  }
}

const none = Buffer.alloc(0)
