// A log that a test writes by hand, line by line, where the file sink would not make what the test needs.
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatCheckpoint } from '../../src/log/checkpoint.ts'
import { publishCheckpoint } from '../../src/log/checkpoint-file.ts'
import { keepHandOver } from '../../src/log/hand-over.ts'
import { leafHash } from '../../src/log/merkle.ts'
import { type KeySigner, signerOf, signNote } from '../../src/log/note.ts'
import { segmentName, segmentsDir } from '../../src/log/segments.ts'
import { TileWriter } from '../../src/log/tile-writer.ts'
import { lineAt } from './log.ts'

export const newSigner = (name: string): KeySigner =>
  signerOf(name, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)

export class HandLog {
  readonly dir: string
  readonly origin: string
  readonly lines: string[] = []
  private segment = 0

  private constructor(
    readonly instanceDir: string,
    log: string,
    private signer: KeySigner,
    private readonly tiles: TileWriter,
    id: string,
  ) {
    this.dir = join(instanceDir, log)
    this.origin = `${signer.name}/${log}/${id}`
    mkdirSync(segmentsDir(this.dir), { recursive: true })
    this.newSegment()
  }

  static async begin(instanceDir: string, log: string, signer: KeySigner, id = '0123456789abcdef'): Promise<HandLog> {
    mkdirSync(join(instanceDir, log), { recursive: true })
    writeFileSync(join(instanceDir, 'vkey'), `${signer.vkey}\n`)
    const tiles = (await TileWriter.load(join(instanceDir, log), 0o640, 0))!
    return new HandLog(instanceDir, log, signer, tiles, id)
  }

  /** Where the lines go that are written now. */
  get path(): string {
    return join(segmentsDir(this.dir), segmentName(this.segment))
  }

  newSegment(): void {
    this.segment = this.lines.length
    writeFileSync(this.path, '')
  }

  /** Writes lines with these fields; returns the index of the last. */
  write(count: number, fields: Record<string, unknown> = {}): number {
    this.writeRaw(...Array.from({ length: count }, (_, i) => lineAt(this.origin, this.lines.length + i, fields)))
    return this.lines.length - 1
  }

  /** Writes lines as they are. */
  writeRaw(...fresh: string[]): void {
    for (const line of fresh) this.tiles.push(leafHash(line))
    this.lines.push(...fresh)
    appendFileSync(this.path, fresh.map((line) => `${line}\n`).join(''))
  }

  /** Signs all lines; returns the note. */
  async sign(): Promise<string> {
    await this.tiles.save()
    const { size } = this.tiles
    const note = signNote(formatCheckpoint({ origin: this.origin, size, root: this.tiles.root() }), this.signer)
    await publishCheckpoint(this.dir, note, 0o640)
    await this.tiles.tidy()
    return note
  }

  /** Goes over to another key as the writer does: a line that names it, a checkpoint by the old one that is kept, and one by the new. */
  async rotate(to: KeySigner): Promise<void> {
    this.write(1, { event_name: 'audit.key_rotated', log: { from: this.signer.vkey, reason: 'asked', to: to.vkey } })
    const note = await this.sign()
    await keepHandOver(this.dir, this.lines.length, note, 0o640)
    this.signer = to
    writeFileSync(join(this.instanceDir, 'vkey'), `${to.vkey}\n`)
    await this.sign()
  }
}
