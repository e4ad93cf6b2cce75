// The logs that are open: one call at a time for each, and no more files open than allowed.
import { busy } from './answer.ts'
import { logDir, type Origin } from './catalogue.ts'
import { HeldLog, type Suspended } from './held-log.ts'
import type { HeldOptions } from './load-log.ts'

/** Calls that wait for one log: its sender has one under way, and others are none of its. */
const mostWaiting = 16

interface Slot {
  log: HeldLog | undefined
  suspended: Suspended | undefined
  tail: Promise<void>
  waiting: number
}

export class Logs {
  private readonly slots = new Map<Origin, Slot>()
  /** Open ones, the one that was used longest ago first. */
  private readonly open = new Set<Slot>()
  private closing = false
  /** Bytes of the lines of all logs. Written by count. */
  bytes = 0

  constructor(
    private readonly mostOpen: number,
    private readonly options: HeldOptions,
  ) {}

  /** Runs `work` with the log once those before are done. Refuses when the witness closes, and when too many wait. */
  async use<T>(entry: Origin, work: (log: HeldLog) => Promise<T>): Promise<T> {
    const slot = this.slots.get(entry) ?? { log: undefined, suspended: undefined, tail: Promise.resolve(), waiting: 0 }
    this.slots.set(entry, slot)
    if (this.closing) throw busy('the witness is closing', 5)
    if (slot.waiting >= mostWaiting) throw busy(`too many wait for ${entry.origin}`)
    slot.waiting++
    const before = slot.tail
    let done: () => void = () => undefined
    slot.tail = new Promise((resolve) => {
      done = resolve
    })
    try {
      await before
      const log = await this.openSlot(slot, entry)
      await log.settle()
      return await work(log)
    } finally {
      if (slot.log !== undefined) {
        entry.lines = slot.log.size
        this.count(entry, slot.log.bytes)
      }
      slot.waiting--
      done()
      if (this.open.size > this.mostOpen) await this.evict()
    }
  }

  /** Takes note of how many bytes the lines of a log are. */
  count(entry: Origin, bytes: number): void {
    this.bytes += bytes - entry.bytes
    entry.bytes = bytes
  }

  /** Closes a log for a call of `use` that moves its folder. */
  async suspend(entry: Origin): Promise<void> {
    const slot = this.slots.get(entry)
    if (slot?.log === undefined) return
    const { log } = slot
    this.open.delete(slot)
    slot.log = undefined
    slot.suspended = undefined
    await log.suspend()
  }

  async close(): Promise<void> {
    this.closing = true
    for (const slot of this.slots.values()) {
      await slot.tail
      await slot.log?.suspend().catch(() => undefined)
      slot.log = undefined
    }
    this.open.clear()
  }

  private async openSlot(slot: Slot, entry: Origin): Promise<HeldLog> {
    const { suspended } = slot
    if (slot.log === undefined && suspended !== undefined) {
      slot.suspended = undefined
      slot.log = await suspended()
    }
    slot.log ??= await HeldLog.open(logDir(entry), entry.origin, this.options)
    this.open.delete(slot)
    this.open.add(slot)
    return slot.log
  }

  private async evict(): Promise<void> {
    for (const slot of this.open) {
      if (this.open.size <= this.mostOpen) return
      if (slot.waiting > 0 || slot.log === undefined || !slot.log.settled) continue
      const { log } = slot
      this.open.delete(slot)
      slot.log = undefined
      slot.waiting++
      // Who comes meanwhile waits until the file is closed.
      const closing = log.suspend().then(
        (suspended) => {
          slot.suspended = suspended
        },
        () => undefined,
      )
      slot.tail = closing
      await closing
      slot.waiting--
    }
  }
}
