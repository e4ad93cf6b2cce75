// Streams of lines and checkpoints, as a container's log holds them.
import { canonical } from '../../src/canonical.ts'
import { formatCheckpoint } from '../../src/log/checkpoint.ts'
import { fromHash, leafHash, Tree } from '../../src/log/merkle.ts'
import { type KeySigner, signNote } from '../../src/log/note.ts'
import { lineAt } from './log.ts'

/** One log that writes to a stream. */
export class StreamSource {
  readonly tree = new Tree()

  constructor(
    readonly origin: string,
    public signer: KeySigner,
  ) {}

  line(fields: Record<string, unknown> = {}): string {
    const line = lineAt(this.origin, this.tree.size, fields)
    this.tree.push(leafHash(line))
    return line
  }

  lines(count: number, fields: Record<string, unknown> = {}): string[] {
    return Array.from({ length: count }, () => this.line(fields))
  }

  /** A checkpoint of all lines so far. `others` replace what it says. */
  checkpoint(others: Record<string, unknown> = {}): string {
    const { origin, signer, tree } = this
    const note = signNote(formatCheckpoint({ origin, size: tree.size, root: tree.root() }), signer)
    const edge = tree.complete().map((hash) => fromHash(hash).toString('base64'))
    const checkpoint = { edge, note, origin, size: tree.size, vkey: signer.vkey, ...(others as Record<string, string>) }
    return canonical({ checkpoint })
  }

  /** The hashes of so many lines that do not come. */
  hashes(count: number): string {
    const first = this.tree.size
    const lines = this.lines(count)
    const leaves = Buffer.concat(lines.map((line) => fromHash(leafHash(line)))).toString('base64')
    return canonical({ hashes: { first, leaves, origin: this.origin } })
  }

  /** Goes over to another key, as the writer does. */
  rotate(to: KeySigner): string[] {
    const edgeBefore = this.tree.complete().map((hash) => fromHash(hash).toString('base64'))
    const line = this.line({
      event_name: 'audit.key_rotated',
      log: { from: this.signer.vkey, reason: 'asked', to: to.vkey },
    })
    const signed = this.checkpoint({ edgeBefore })
    this.signer = to
    return [line, signed]
  }
}

/** A line in parts, as a sink caps it for a container runtime. */
export function chunksOf(of: string, line: string, parts: number): string[] {
  const size = Math.ceil(line.length / parts)
  return Array.from({ length: parts }, (_, i) =>
    canonical({ chunk: { of, part: i + 1, parts, text: line.slice(i * size, (i + 1) * size) } }),
  )
}
