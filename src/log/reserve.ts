// A file that keeps room on the disk: it is deleted when the disk is full, for what must be recorded all the same.
import { open, stat, statfs, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import { randomHex } from '../random.ts'
import type { Logger } from '../runtime.ts'
import type { LogName } from '../sink.ts'
import { orMissing } from './segments.ts'

/** How often it is tried to make it again. */
const remakeMs = 60_000

const fullCodes = ['ENOSPC', 'EDQUOT']

export class Reserve {
  /** Whether it was deleted, and the room is for the security and control logs alone. Written by release and make. */
  out = false
  /** Whether it is a quota that was reached: how much of that is free cannot be asked for. */
  private quota = false
  private timer: Timer | undefined
  private stopped = false

  constructor(
    private readonly path: string,
    private readonly bytes: number,
    private readonly mode: number,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Makes the file, unless it is there. On a disk without room for it, it is tried again each minute. */
  async open(): Promise<void> {
    if (this.bytes === 0) return
    const facts = await orMissing(stat(this.path), undefined)
    if (facts?.size === this.bytes) return
    await this.make().catch((error: unknown) => {
      this.logger.warn({ path: this.path, error: reasonOf(error) }, 'the reserve of the log cannot be made')
      this.later()
    })
  }

  /**
   * Deletes the file if that is what a job of this log has failed for. Returns whether there is room now that was not there
   * before.
   */
  async release(log: LogName, error: unknown): Promise<boolean> {
    const { code } = error as NodeJS.ErrnoException
    if (log === 'traffic' || this.bytes === 0 || this.out || !fullCodes.includes(code ?? '')) return false
    this.out = true
    this.quota = code === 'EDQUOT'
    this.later()
    const gone = await unlink(this.path).then(
      () => true,
      () => false,
    )
    const fact = gone
      ? 'the disk is full: the log lives on its reserve'
      : 'the disk is full, and the log has no reserve'
    this.logger.error({ path: this.path, error: reasonOf(error) }, fact)
    return gone
  }

  /** Rejects for lines of traffic that would take the room of the reserve. */
  async admit(log: LogName): Promise<void> {
    if (!this.out || log !== 'traffic') return
    if (!this.quota) {
      const { bavail, bsize } = await statfs(dirname(this.path))
      if (bavail * bsize >= 2 * this.bytes) return
    }
    const message = 'ENOSPC: what room there is is for the security and control logs'
    throw Object.assign(new Error(message), { code: 'ENOSPC' })
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
    this.timer = undefined
  }

  private later(): void {
    if (this.stopped) return
    this.timer ??= this.clock.after(remakeMs, () => {
      this.timer = undefined
      this.make().then(
        () => this.logger.warn({ path: this.path }, 'the log has its reserve again'),
        () => this.later(),
      )
    })
  }

  /** Bytes that no file system can leave out or make smaller, so that the room is really taken. */
  private async make(): Promise<void> {
    try {
      const handle = await open(this.path, 'w', this.mode)
      try {
        await handle.writeFile(Buffer.from(randomHex(this.bytes), 'hex'))
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      await unlink(this.path).catch(() => {})
      throw error
    }
    this.out = false
  }
}
