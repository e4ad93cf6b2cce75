// Backends from a file of JSON that is watched: by the notices of the system, and by looking at it at an interval.
import { type FSWatcher, watch } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Clock, Timer } from '../clock.ts'
import type { Source, SourceFailure, SourceReport } from '../discovery.ts'
import { reasonOf } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import type { FileOptions } from './options.ts'
import { detailOf, invalid, readSet } from './set.ts'

/** A file that is not whole is read once more after this time: who writes in place may be in the midst of it. */
const settleMs = 100
/** Notices come in flocks, also of other files in the folder: one look serves those of so many ms. */
const noticeMs = 20
/** More is no list of backends. */
const mostBytes = 16 * 1024 * 1024

const objectSchema = z.strictObject({ backends: z.unknown() })

interface Reading {
  /** Tells one content from another: another file, or written since. */
  readonly mark: string
  readonly text?: string
  readonly fault?: SourceFailure
}

export class FileSource implements Source {
  readonly #options: FileOptions
  readonly #clock: Clock
  #report: (found: SourceReport) => void = () => undefined
  #watcher: FSWatcher | undefined
  #timer: Timer | undefined
  #noticed: Timer | undefined
  #closed = false
  /** What was reported last; undefined until there is something. */
  #mark: string | undefined
  /** What was last found not to be whole. */
  #torn: string | undefined
  #looking = false
  #again = false

  constructor(options: FileOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  start(report: (found: SourceReport) => void): void {
    this.#report = report
    void this.#look()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#noticed?.cancel()
    this.#unwatch()
  }

  /** One at a time; a notice that comes meanwhile makes it look once more. */
  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true
      return
    }
    this.#looking = true
    this.#timer?.cancel()
    do {
      this.#again = false
      // Watched before it is read: what is written between would go unseen.
      this.#watch()
      const reading = await this.#read()
      if (this.#closed) return
      this.#take(reading)
    } while (this.#again)
    this.#looking = false
    const waitMs = this.#torn === undefined ? this.#options.intervalMs : Math.min(settleMs, this.#options.intervalMs)
    this.#timer = this.#clock.after(waitMs, () => void this.#look())
  }

  #take({ mark, text, fault }: Reading): void {
    if (fault !== undefined) {
      // The folder that is watched may have gone, and another have come by its name.
      this.#unwatch()
      this.#watch()
    }
    if (mark === this.#mark) {
      this.#torn = undefined
      return
    }
    if (fault === undefined && text !== undefined) {
      const value = parsed(text)
      if (value.failure !== undefined && this.#torn !== mark) {
        this.#torn = mark
        return
      }
      this.#report(value.failure === undefined ? setOf(value.json) : { failure: value.failure })
    } else if (fault !== undefined) this.#report({ failure: fault })
    this.#torn = undefined
    this.#mark = mark
  }

  async #read(): Promise<Reading> {
    const { path } = this.#options
    try {
      // A pipe would be waited for when it is opened.
      if (!(await stat(path)).isFile()) return unreadable('it is not a file')
      const file = await open(path)
      try {
        const { dev, ino, size, mtimeNs, ctimeNs } = await file.stat({ bigint: true })
        if (size > mostBytes) return unreadable(`it has more than ${mostBytes} bytes`)
        const mark = `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`
        return mark === this.#mark ? { mark } : { mark, text: await file.readFile('utf8') }
      } finally {
        await file.close()
      }
    } catch (error) {
      return unreadable((error as NodeJS.ErrnoException).code ?? reasonOf(error))
    }
  }

  // The folder, and not the file: what is put in its place by a rename, or by a symbolic link beside it, is another file.
  #watch(): void {
    if (this.#watcher !== undefined || this.#closed) return
    try {
      this.#watcher = watch(dirname(this.#options.path), { persistent: false }, () => this.#notice())
      this.#watcher.on('error', () => this.#unwatch())
    } catch {
      // Looking at the interval must do.
    }
  }

  #notice(): void {
    this.#noticed ??= this.#clock.after(noticeMs, () => {
      this.#noticed = undefined
      void this.#look()
    })
  }

  #unwatch(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }
}

const unreadable = (detail: string): Reading => ({
  mark: `unreadable ${detail}`,
  fault: { cause: 'unreadable', detail: detailOf(detail) },
})

function parsed(text: string): { json?: unknown; failure?: SourceFailure } {
  try {
    return { json: JSON.parse(text.replace(/^\uFEFF/, '')) }
  } catch (error) {
    return { failure: { cause: 'invalid', detail: detailOf(error) } }
  }
}

function setOf(json: unknown): SourceReport {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return readSet(json, 'the file')
  try {
    parseOptions(objectSchema, json, 'the file')
  } catch (error) {
    return { failure: invalid(error) }
  }
  // Places are told as they are in the file.
  return readSet((json as { backends: unknown }).backends, 'the file', 'backends')
}
