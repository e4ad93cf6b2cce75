// Standard output that is a file: what a full disk takes only a part of is gone on with.
import { fstat as fstatOf, fstatSync, write as writeSome } from 'node:fs'
import { promisify } from 'node:util'

const fstat = promisify(fstatOf)
const write = promisify(writeSome)
const lineEnd = 0x0a

/** What a file did not take all of. */
interface Begun {
  readonly text: string
  /** How many bytes of it the file has taken, and how many of these are whole lines. */
  readonly taken: number
  readonly whole: number
  /** How long the file was then; undefined if what it ends with is no beginning of a line of this text. */
  readonly size: number | undefined
}

export class OutputFile {
  readonly #fd: number
  /** Whether it ends with a part of a line. */
  #torn = false
  #begun: Begun | undefined

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Undefined for a pipe or a terminal. */
  static at(fd: number): OutputFile | undefined {
    try {
      return fstatSync(fd).isFile() ? new OutputFile(fd) : undefined
    } catch {
      // Closed, or none at all, as in a worker.
      return undefined
    }
  }

  /** Resolves once the file has taken all of it. After a rejection the same text is gone on with where it broke off. */
  async write(text: string): Promise<void> {
    const bytes = Buffer.from(text)
    const begun = this.#begun?.text === text ? this.#begun : undefined
    const { size } = await fstat(this.#fd)
    // Behind what somebody else has written the line begins anew, and the part of it is ended.
    const isLast = begun !== undefined && begun.size === size
    const from = (isLast ? begun.taken : begun?.whole) ?? 0
    const ending = this.#torn && !isLast ? [Buffer.from('\n')] : []
    await this.#put(Buffer.concat([...ending, bytes.subarray(from)]), (left) => this.#keep(text, bytes, from, left))
    this.#begun = undefined
  }

  async #put(bytes: Buffer, onFault: (left: number) => Promise<void>): Promise<void> {
    let rest = bytes
    try {
      while (rest.length > 0) {
        const { bytesWritten } = await write(this.#fd, rest, 0, rest.length, null)
        if (bytesWritten === 0) throw new Error('nothing was taken')
        this.#torn = rest[bytesWritten - 1] !== lineEnd
        rest = rest.subarray(bytesWritten)
      }
    } catch (error) {
      await onFault(rest.length)
      throw error
    }
  }

  async #keep(text: string, bytes: Buffer, from: number, left: number): Promise<void> {
    const isEnded = left <= bytes.length - from
    const taken = isEnded ? bytes.length - left : from
    const whole = bytes.subarray(0, taken).lastIndexOf(lineEnd) + 1
    this.#begun = { text, taken, whole, size: isEnded ? (await fstat(this.#fd)).size : undefined }
  }
}
