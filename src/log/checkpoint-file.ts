// The published checkpoint of a log: written after the tiles that it needs, replaced at once.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SignedCheckpoint } from '../sink.ts'
import { formatCheckpoint, signedCheckpoint } from './checkpoint.ts'
import { type Signer, signNote } from './note.ts'
import { replaceFile } from './replace-file.ts'
import type { TileWriter } from './tile-writer.ts'

export const checkpointPath = (logDir: string): string => join(logDir, 'checkpoint')

export class CheckpointFile {
  /** How many lines the published one covers. Written by publish, and once by who recovers the log. */
  size = 0
  /** The one that was published last. */
  last: SignedCheckpoint | undefined

  constructor(
    readonly dir: string,
    private readonly origin: string,
    private readonly signer: Signer,
    readonly tiles: TileWriter,
    private readonly mode: number,
  ) {}

  /**
   * Signs and publishes the tree as it is. All its lines must be fsynced before. A power loss may bring the checkpoint before back:
   * the lines behind it are there, and are signed anew in the same history.
   */
  async publish(): Promise<void> {
    const { size } = this.tiles
    await mkdir(this.dir, { recursive: true, mode: 0o750 })
    await this.tiles.save()
    const text = formatCheckpoint({ origin: this.origin, size, root: this.tiles.root() })
    const note = signNote(text, this.signer)
    await replaceFile(checkpointPath(this.dir), note, this.mode)
    this.size = size
    this.last = signedCheckpoint(this.origin, note, this.signer.vkey, this.tiles)
    await this.tiles.tidy()
  }
}
