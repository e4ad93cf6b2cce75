// Looks after the files of an instance while it is being written: others may delete, move or cut them.
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import { compressedPath, orMissing, plainPath } from './segments.ts'
import type { LogWriter } from './writer.ts'

const lookMs = 1000
/** Of so many looks one is at what is not written to. */
const wideLook = 60

export interface WatchOptions {
  readonly writers: readonly LogWriter[]
  readonly clock: Clock
  readonly logger: Logger
  /** What else is done each minute. */
  readonly eachMinute: () => Promise<void>
}

export class Watch {
  private timer: Timer | undefined
  private looks = 0
  private stopped = false
  private wide: Promise<void> | undefined
  /** Those of which it was told that something of them cannot be deleted. */
  private readonly cluttered = new Set<LogWriter>()

  constructor(private readonly options: WatchOptions) {}

  start(): void {
    this.timer = this.options.clock.after(lookMs, () => {
      for (const writer of this.options.writers) writer.look()
      if (++this.looks % wideLook === 0) this.lookWide()
      this.start()
    })
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    await this.wide
  }

  private lookWide(): void {
    const { logger, writers, eachMinute } = this.options
    const look = async () => {
      for (const writer of writers) {
        this.lookAtClutter(writer)
        await this.lookAtClosed(writer)
      }
      await eachMinute()
    }
    this.wide ??= look()
      .catch((error: unknown) => {
        if (!this.stopped) logger.error({ error: reasonOf(error) }, 'the folder of the log cannot be looked at')
      })
      .finally(() => {
        this.wide = undefined
      })
  }

  /** Tells when hash tiles cannot be deleted: the log goes on, and its disk fails, or denies it. */
  private lookAtClutter(writer: LogWriter): void {
    const { cluttered } = this
    const { clutter: error, origin: log } = writer
    if (error === undefined) cluttered.delete(writer)
    else if (!cluttered.has(writer)) {
      cluttered.add(writer)
      this.options.logger.warn({ log, error }, 'hash tiles that wider ones have replaced cannot be deleted')
    }
  }

  /** Tells of closed segments that neither retention nor compression has taken away. */
  private async lookAtClosed(writer: LogWriter): Promise<void> {
    const { closed, origin } = writer
    for (const segment of [...closed]) {
      const plain = plainPath(segment)
      if ((await exists(plain)) || (await exists(compressedPath(plain))) || this.stopped) continue
      const place = closed.indexOf(segment)
      if (place === -1) continue
      const last = (closed[place + 1]?.first ?? writer.current.first) - 1
      closed.splice(place, 1)
      const facts = { reason: 'a closed segment is missing', segment: basename(plain), first: segment.first, last }
      this.options.logger.error({ log: origin, ...facts }, 'somebody has deleted a segment of the log')
      writer.tell('audit.recovered', facts)
    }
  }
}

const exists = (path: string): Promise<boolean> =>
  orMissing(
    stat(path).then(() => true),
    false,
  )
