// Signs and publishes the tree of one log, and hands it from one key to the next. A key that is slow holds up no line.
import type { Clock, Timer } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { SignedCheckpoint } from '../sink.ts'
import { formatCheckpoint } from './checkpoint.ts'
import { publishCheckpoint } from './checkpoint-file.ts'
import { keepHandOver } from './hand-over.ts'
import type { HandOver } from './keyring.ts'
import { fromHash, type Hash } from './merkle.ts'
import type { Signing } from './signing.ts'
import type { Extent, TileWriter } from './tile-writer.ts'

const firstPauseMs = 250
const lastPauseMs = 5_000
/** While the log closes nothing is tried again after a longer pause. */
const lastClosingPauseMs = 1_000

/** A checkpoint that is to be signed, of the tree as it was then. */
interface Draft {
  readonly text: string
  readonly size: number
  readonly edge: readonly string[]
  readonly edgeBefore?: readonly string[]
}

/** A hand-over on its way. */
interface Handing extends HandOver {
  /** The size of the log with the line that tells of it as the last. */
  readonly size: number
  /** The checkpoint of that size, once the tree has it. */
  draft?: Draft
  /** Whether the first key has signed its last, and the next one has to show that it signs. */
  handed?: boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface CheckpointsOptions {
  readonly dir: string
  readonly origin: string
  readonly tiles: TileWriter
  readonly mode: number
  readonly clock: Clock
  /** Who signs; undefined before the first hand-over. */
  readonly signing: Signing | undefined
  /** How many lines the published one covers. */
  readonly size: number
  /** The checkpoints by which keys handed over before, the oldest first. */
  readonly handOvers?: readonly string[] | undefined
  /** A signature came, or a pause after a failure is over: `publish` has something to do. */
  readonly onReady: () => void
  /** Whether what the disk did not take can be tried again at once. */
  readonly rescue: (error: unknown) => Promise<boolean>
  /** Called with each failure of the disk, and with undefined when it has taken a checkpoint. */
  readonly changed: (fault: string | undefined) => void
}

/** A sink that has fallen behind further than so many changes of the key needs the keys in between from elsewhere. */
const mostHanded = 32

export class Checkpoints {
  /** How many lines the published one covers. Written by publish. */
  size: number
  /** The one that was published last by this process. Written by publish. */
  last: SignedCheckpoint | undefined
  /** Whether a signature is under way. */
  private pending = false
  private handOvers: readonly string[]
  /** Those that this process has published. */
  private handed: readonly SignedCheckpoint[] = []
  private signing: Signing | undefined
  private handing: Handing | undefined
  /** A note that is signed and not published. */
  private ready: { readonly checkpoint: SignedCheckpoint; readonly handing: Handing | undefined } | undefined
  private pause: Timer | undefined
  private pauseMs = firstPauseMs
  private closing = false
  private givenUp = false
  private stopped = false

  constructor(private readonly options: CheckpointsOptions) {
    this.size = options.size
    this.handOvers = options.handOvers ?? []
    this.signing = options.signing
  }

  /** No line from here on may get into the tree before `grown` was called. */
  get limit(): number {
    return this.handing === undefined || this.handing.draft !== undefined ? Infinity : this.handing.size
  }

  /** Must be called when the tree has grown to `limit`. */
  grown(): void {
    const { tiles } = this.options
    if (this.limit !== tiles.size) return
    const before = tiles.before()
    this.handing!.draft = { ...this.format('all'), ...(before && { edgeBefore: inBase64(before) }) }
  }

  /** Whether a signature is under way, or a pause after a failure. */
  get waits(): boolean {
    return this.pending || this.pause !== undefined
  }

  /** Whether `publish` has something to do that does not wait for its time. */
  get urgent(): boolean {
    return this.free && (this.ready !== undefined || this.handing?.draft !== undefined)
  }

  /** Whether `publish` would sign or publish a checkpoint now. */
  get possible(): boolean {
    return this.urgent || (this.signing !== undefined && this.size < this.options.tiles.size && this.free)
  }

  /** Resolves once the next key signs. The line that tells of it must be the next that the log takes, the `size`th. */
  handOver(next: HandOver, size: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.handing = { ...next, size, resolve, reject }
    })
  }

  /** That line was not taken. */
  withdraw(): void {
    this.handing = undefined
  }

  /**
   * Signs the tree as it is, as far as `wanted`, and publishes it, or what was signed before. All its lines must be fsynced: a power
   * loss would else leave a signature over lines that are gone. With a key that takes its time the signature comes later, by
   * `onReady`; and what the disk does not take is tried again after a pause. Lines go on meanwhile.
   */
  async publish(wanted: Extent): Promise<void> {
    const { rescue, changed } = this.options
    try {
      await this.signAndKeep(wanted)
    } catch (error) {
      if (this.stopped) return
      if (await rescue(error)) return this.publish(wanted)
      this.givenUp = this.closing && this.pauseMs > lastClosingPauseMs
      this.rest()
      changed(reasonOf(error))
    }
  }

  private async signAndKeep(wanted: Extent): Promise<void> {
    const { tiles, dir, mode, changed } = this.options
    if (this.ready === undefined) {
      const extent = this.handing === undefined ? wanted : 'all'
      await tiles.save(extent)
      this.ask(extent)
    }
    const { ready } = this
    if (ready === undefined) return
    const { checkpoint, handing } = ready
    const { note, size } = checkpoint
    if (handing !== undefined) await keepHandOver(dir, size, note, mode)
    await publishCheckpoint(dir, note, mode)
    this.size = size
    this.last = checkpoint
    this.ready = undefined
    if (handing !== undefined) {
      this.signing = handing.to
      this.handOvers = [...this.handOvers, note]
      const { handed: _, handovers: __, ...own } = checkpoint
      this.handed = [...this.handed, own].slice(-mostHanded)
      handing.handed = true
    } else if (this.handing?.handed === true) {
      this.handing.resolve()
      this.handing = undefined
    }
    this.pauseMs = firstPauseMs
    changed(undefined)
    if (tiles.savedSize === size) await tiles.tidy()
  }

  /** From the call on a key is asked once more, and not again when it fails; the disk for about two seconds. */
  close(): void {
    this.closing = true
    this.cancelPause()
    this.pauseMs = firstPauseMs
  }

  /** Tries nothing again, and tells who waits for a hand-over that there will be none. */
  abandon(error: Error): void {
    this.stopped = true
    this.cancelPause()
    this.handing?.reject(error)
  }

  private cancelPause(): void {
    this.pause?.cancel()
    this.pause = undefined
  }

  private get free(): boolean {
    return !this.pending && this.pause === undefined && !this.givenUp
  }

  private format(extent: Extent): Draft {
    const { origin, tiles } = this.options
    const size = tiles.sizeOf(extent)
    const edge = inBase64(tiles.complete(extent))
    return { text: formatCheckpoint({ origin, size, root: tiles.root(extent) }), size, edge }
  }

  private ask(extent: Extent): void {
    const handing = this.handing?.draft === undefined || this.handing.handed === true ? undefined : this.handing
    const { text, ...tree } = handing?.draft ?? this.format(extent)
    const signing = handing?.from ?? this.signing!
    const { vkey } = signing
    const done = (note: string) => {
      const { origin } = this.options
      const before = this.handOvers.length === 0 ? {} : { handovers: this.handOvers }
      const handed = this.handed.length === 0 ? {} : { handed: this.handed }
      this.ready = { checkpoint: { origin, note, vkey, ...tree, ...before, ...handed }, handing }
      this.pauseMs = firstPauseMs
    }
    const note = signing.sign(text)
    if (typeof note === 'string') return done(note)
    this.pending = true
    note
      .then(done, () => this.failed())
      .finally(() => {
        this.pending = false
        this.options.onReady()
      })
  }

  private failed(): void {
    this.givenUp = this.closing
    this.rest()
  }

  private rest(): void {
    if (this.givenUp) return
    const over = () => {
      this.pause = undefined
      this.options.onReady()
    }
    this.pause = this.options.clock.after(this.pauseMs, over, this.closing)
    this.pauseMs = Math.min(2 * this.pauseMs, lastPauseMs)
  }
}

const inBase64 = (hashes: readonly Hash[]): string[] => hashes.map((one) => fromHash(one).toString('base64'))
