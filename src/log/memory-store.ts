// The log of a trail that has no folder: lines wait in memory, shared by all sinks, until each has them.
import { generateKeyPairSync } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { randomHex } from '../random.ts'
import { pid } from '../runtime.ts'
import {
  type Cursor,
  type Feed,
  type LineFeed,
  type LogName,
  type LogStore,
  logNames,
  type OpenedStore,
  type SignedCheckpoint,
  type Stretch,
} from '../sink.ts'
import { Alarm } from './alarm.ts'
import { keyOfFile } from './key.ts'
import { MemoryLog } from './memory-log.ts'
import { hostPart } from './names.ts'
import { type KeySigner, signerOf } from './note.ts'

const checkpointMs = 1000

export interface MemoryOptions {
  readonly service: string
  readonly clock: Clock
  /** The writer's name. Default `<host>.<pid>`. */
  readonly instance: string | undefined
  /** Path of the private key that signs. Default one that lives as long as the process. */
  readonly keyFile: string | undefined
  /** How many bytes of lines wait at most. */
  readonly maxBytes: number
  /** Whether some sink wants checkpoints. */
  readonly signs: () => boolean
  /** Whether the sink of this name is known to fail. */
  readonly failing: (sink: string) => boolean
  /** There is more to deliver. */
  readonly grown: () => void
}

/**
 * Its origins live as long as the process, and so does its key, unless it is given. What is over the bound goes, the oldest traffic first, then
 * security, then control, and before all that what only sinks that fail still need: a sink that had not got it is told by its feed.
 */
export class MemoryStore implements Omit<LogStore, 'open'>, LineFeed {
  readonly name = 'memory'
  readonly kind = 'store'
  readonly durability = 'none'
  readonly lasting = false
  readonly source = this
  private readonly options: MemoryOptions
  private readonly logs: Readonly<Record<LogName, MemoryLog>>
  private readonly cursors = new Map<string, MemoryCursor>()
  private readonly signer: KeySigner
  private readonly instance: string
  private readonly signing: Alarm

  constructor(options: MemoryOptions) {
    this.options = options
    const { service, instance = `${hostPart()}.${pid}`, keyFile } = options
    this.instance = instance
    const name = `${service}/${instance}`
    this.signer =
      keyFile === undefined ? signerOf(name, generateKeyPairSync('ed25519').privateKey) : keyOfFile(keyFile, name)
    const log = (name: LogName) => new MemoryLog(`${service}/${this.instance}/${name}/${randomHex(8)}`)
    this.logs = { traffic: log('traffic'), security: log('security'), control: log('control') }
    this.signing = new Alarm(options.clock, checkpointMs, () => this.sign())
  }

  /** Where it stands now, without opening: it is always open. */
  get opened(): OpenedStore {
    const head = (log: LogName) => ({ origin: this.logs[log].origin, next: this.logs[log].end })
    const heads = { traffic: head('traffic'), security: head('security'), control: head('control') }
    return { instance: this.instance, vkey: this.signer.vkey, heads }
  }

  fault(): undefined {}

  append(log: LogName, _: number, line: string): boolean {
    this.logs[log].push(line, this.options.signs())
    this.trim(log)
    if (this.bytes > this.options.maxBytes) this.makeRoom(log)
    if (this.options.signs()) this.signing.arm()
    this.options.grown()
    return true
  }

  /** While there is no sink lines are not kept, but have their places: one that comes later has not missed them. */
  pass(log: LogName, index: number): void {
    this.logs[log].pass(index)
  }

  async durable(): Promise<void> {}

  /** Signs a last time. The lines stay until `release`. */
  async close(): Promise<{ readonly unwritten: number }> {
    if (this.options.signs()) this.sign()
    this.signing.clear()
    return { unwritten: 0 }
  }

  async release(): Promise<void> {}

  bounds(log: LogName): { origin: string; first: number; end: number } {
    const { origin, first, end } = this.logs[log]
    return { origin, first, end }
  }

  async read(log: LogName, from: number, most: { lines: number; bytes: number }): Promise<Stretch | undefined> {
    return this.logs[log].read(from, most)
  }

  async leaves(log: LogName, first: number, last: number): Promise<Uint8Array[]> {
    return this.logs[log].leaves(first, last)
  }

  checkpoint(log: LogName): SignedCheckpoint | undefined {
    return this.logs[log].checkpoint
  }

  async cursor(sink: string, from: Feed['from']): Promise<Cursor> {
    const place = (log: LogName) => this.logs[log][from === 'oldest' ? 'first' : 'end']
    const places = { traffic: place('traffic'), security: place('security'), control: place('control') }
    const cursor = this.cursors.get(sink) ?? new MemoryCursor(places, (log) => this.trim(log))
    this.cursors.set(sink, cursor)
    return cursor
  }

  async bury(): Promise<boolean> {
    return false
  }

  private get bytes(): number {
    return this.logs.traffic.bytes + this.logs.security.bytes + this.logs.control.bytes
  }

  /**
   * Lets go of the oldest lines, a sixteenth more than must go: a sink that has missed lines tells of it by a line. If that pushed out
   * the next one, there would be no end of telling.
   */
  private makeRoom(newest: LogName): void {
    const most = this.options.maxBytes - (this.options.maxBytes >> 4)
    // No other sink shall lose lines for those that fail.
    for (const log of logNames) {
      const spare = this.spare(log, newest)
      while (this.bytes > most && this.logs[log].first < spare) this.logs[log].drop(1, this.options.signs())
    }
    while (this.bytes > most) {
      // One that is longer than all of the room stays: it is the newest.
      const oldest = logNames.find((name) => this.logs[name].count > (name === newest ? 1 : 0))
      if (oldest === undefined) break
      this.logs[oldest].drop(1, this.options.signs())
    }
  }

  /** The index below which only sinks that fail still need lines. */
  private spare(log: LogName, newest: LogName): number {
    let least = this.logs[log].end - (log === newest ? 1 : 0)
    for (const [sink, cursor] of this.cursors)
      if (!this.options.failing(sink)) least = Math.min(least, cursor.next(log))
    return least
  }

  /** Lets go of what every sink has. */
  private trim(log: LogName): void {
    let least = this.logs[log].end
    for (const cursor of this.cursors.values()) least = Math.min(least, cursor.next(log))
    this.logs[log].forget(least)
    this.logs[log].drop(least - this.logs[log].first)
  }

  private sign(): void {
    this.signing.clear()
    for (const log of logNames) if (this.logs[log].sign(this.signer)) this.options.grown()
  }
}

class MemoryCursor implements Cursor {
  constructor(
    private readonly places: Record<LogName, number>,
    private readonly onMoved: (log: LogName) => void,
  ) {}

  next(log: LogName): number {
    return this.places[log]
  }

  advance(log: LogName, next: number): void {
    this.places[log] = next
    this.onMoved(log)
  }
}
