// Standard output as something that text is written to: all of it, or with a fault.
import { afterTurn } from '../../clock.ts'
import { stdout } from '../../runtime.ts'
import { OutputFile } from './output-file.ts'

export class Output {
  /** Looked for at the first write; null where there is none. */
  #file: OutputFile | null | undefined
  #pending = 0
  #open = false
  /** Each write hears of its own fault; without a listener a pipe that closes would end the process besides. */
  readonly #ignore = (): void => undefined

  open(): void {
    this.#open = true
    stdout.on('error', this.#ignore)
  }

  /** Resolves once the system has taken all of it. */
  async write(text: string): Promise<void> {
    // The stream of a file does not look at how much was taken: on a full disk that is less than all.
    if (this.#file === undefined) this.#file = OutputFile.at(stdout.fd) ?? null
    this.#pending++
    try {
      await (this.#file === null ? throughStream(text) : this.#file.write(text))
    } finally {
      this.#pending--
      this.#leave()
    }
  }

  /** What is on its way can still fail, and must not end the process then. */
  close(): void {
    this.#open = false
    this.#leave()
  }

  /** A stream tells of a fault in the turn in which the write has heard of it. */
  #leave(): void {
    if (this.#open || this.#pending > 0) return
    afterTurn(() => void (this.#open || stdout.off('error', this.#ignore)))
  }
}

function throughStream(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout.write(text, (error) => (error ? reject(error) : resolve()))
  })
}
