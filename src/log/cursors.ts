// Cursors: how far each sink has got in the logs of a writer, kept on disk so that a restart goes on where it was left.
import { hash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import { type Logger, safeName } from '../runtime.ts'
import { type Cursor, type Feed, type LogName, logNames } from '../sink.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, syncDir } from './segments.ts'

/** How long a cursor may be behind on disk: so many lines at most come twice after a crash. */
const persistMs = 1000

/** Where a log stands now. */
export interface Position {
  readonly origin: string
  /** The index of the line that comes next. */
  readonly next: number
}

type Places = Partial<Record<LogName, { readonly origin: string; readonly next: number }>>

/** A sink's name as a file may be called: names that differ stay apart. */
export const fileNameOf = (sink: string): string =>
  safeName(sink) === sink && !sink.startsWith('.') && sink.length <= 100
    ? sink
    : `${safeName(sink).slice(0, 60)}-${hash('sha256', sink, 'hex').slice(0, 12)}`

export class Cursors {
  private readonly open = new Map<string, FileCursor>()
  private timer: Timer | undefined
  private told = false
  private closed = false

  constructor(
    private readonly dir: string,
    private readonly mode: number,
    private readonly position: (log: LogName) => Position,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /**
   * The cursor of a sink, as it was left. Of a log that it has not seen it takes what `from` says. One that is there and cannot be
   * read begins with the oldest line, for nobody knows what the sink has got: twice is better than never.
   */
  async of(sink: string, from: Feed['from']): Promise<Cursor> {
    const known = this.open.get(sink)
    if (known !== undefined) return known
    // "Now" is the moment of the call.
    const now = Object.fromEntries(logNames.map((log) => [log, this.position(log)])) as Record<LogName, Position>
    const path = join(this.dir, `${fileNameOf(sink)}.json`)
    const kept = await this.read(path)
    const places = {} as Record<LogName, number>
    for (const log of logNames) {
      const { origin, next } = now[log]
      const place = kept === 'unreadable' ? undefined : kept?.[log]
      if (place?.origin === origin) places[log] = Math.min(place.next, next)
      // It has followed the log that was here before: all of the new one is new to it.
      else places[log] = place !== undefined || kept === 'unreadable' || from === 'oldest' ? 0 : next
    }
    const cursor = new FileCursor(path, sink, places, () => this.later())
    this.open.set(sink, cursor)
    // From its first moment on: else a crash would make "now" another one.
    this.later()
    return cursor
  }

  /**
   * Every sink has the lines of a log below this index; Infinity if there is no sink. A cursor that nobody has opened counts as well: of a
   * sink that is not open, or was taken out of the configuration, and would get what is there if it came back.
   */
  async delivered(log: LogName): Promise<number> {
    const places = [...this.open.values()].map((cursor) => cursor.next(log))
    const opened = new Set([...this.open.values()].map(({ path }) => basename(path)))
    // A folder that cannot be read stops no deletion.
    const names = await readdir(this.dir).catch(() => [])
    for (const name of names.filter((one) => one.endsWith('.json') && !opened.has(one))) {
      const kept = await placesAt(join(this.dir, name)).catch(() => 'unreadable' as const)
      if (kept === 'unreadable') return 0
      const place = kept?.[log]
      if (place !== undefined) places.push(place.origin === this.position(log).origin ? place.next : 0)
    }
    return Math.min(Infinity, ...places)
  }

  /** Resolves once all cursors are on disk as they are now. Must come before lines are deleted that they have passed. */
  async persist(): Promise<void> {
    this.timer?.cancel()
    this.timer = undefined
    const moved = [...this.open.values()].filter((cursor) => cursor.moved)
    if (moved.length === 0) return
    await mkdir(this.dir, { recursive: true, mode: 0o750 })
    for (const cursor of moved) await cursor.write((log) => this.position(log).origin, this.mode)
    await syncDir(this.dir)
  }

  /** Writes them a last time. */
  async close(): Promise<void> {
    this.closed = true
    await this.saved()
  }

  private later(): void {
    if (this.closed) return
    this.timer ??= this.clock.after(persistMs, () => {
      this.timer = undefined
      void this.saved()
    })
  }

  private async saved(): Promise<void> {
    try {
      await this.persist()
      this.told = false
    } catch (error) {
      // A sink gets some lines twice if the process ends now: no more than that.
      if (!this.told) this.logger.warn({ error: reasonOf(error) }, 'the cursors of the audit sinks cannot be written')
      this.told = true
      this.later()
    }
  }

  private async read(path: string): Promise<Places | 'unreadable' | undefined> {
    try {
      return await placesAt(path)
    } catch (error) {
      this.logger.error(
        { path, error: reasonOf(error) },
        'the cursor of an audit sink cannot be read: it gets all lines',
      )
      return 'unreadable'
    }
  }
}

/** Undefined if there is no such file. Throws for what holds no places. */
async function placesAt(path: string): Promise<Places | undefined> {
  const text = await orMissing(readFile(path, 'utf8'), undefined)
  if (text === undefined) return undefined
  const { logs } = JSON.parse(text) as { logs: Places }
  const isValid = (log: LogName): boolean => {
    const place = logs[log]
    return place === undefined || (Number.isSafeInteger(place.next) && place.next >= 0)
  }
  if (!logNames.every(isValid)) throw new Error('it holds no places')
  return logs
}

class FileCursor implements Cursor {
  moved = true
  private writing: Promise<void> = Promise.resolve()

  constructor(
    readonly path: string,
    private readonly sink: string,
    private readonly places: Record<LogName, number>,
    private readonly onMoved: () => void,
  ) {}

  next(log: LogName): number {
    return this.places[log]
  }

  advance(log: LogName, next: number): void {
    this.places[log] = next
    this.moved = true
    this.onMoved()
  }

  /** One at a time: a file may be replaced by one only. */
  write(origin: (log: LogName) => string, mode: number): Promise<void> {
    const write = async (): Promise<void> => {
      if (!this.moved) return
      this.moved = false
      const logs = Object.fromEntries(logNames.map((log) => [log, { next: this.places[log], origin: origin(log) }]))
      try {
        await replaceFile(this.path, `${JSON.stringify({ logs, sink: this.sink })}\n`, mode)
      } catch (error) {
        this.moved = true
        throw error
      }
    }
    this.writing = this.writing.then(write, write)
    return this.writing
  }
}
