// Reads the bodies that carry checkpoints.
import { malformed } from './answer.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const mostProofLines = 63
/** A log hands over to another key seldom, and one checkpoint tells of it. */
const mostNotes = 64

function textOf(body: Buffer): string {
  try {
    return utf8.decode(body)
  } catch {
    throw malformed('expected UTF-8')
  }
}

/** Signed notes, one after the other. */
export function readNotes(body: Buffer): string[] {
  const text = textOf(body)
  const notes: string[] = []
  // Text without empty lines, an empty line, and signature lines.
  const pattern = /(?:(?!— ).+\n)+\n(?:— .+\n)+/uy
  while (pattern.lastIndex < text.length) {
    const note = pattern.exec(text)?.[0]
    if (note === undefined || notes.length >= mostNotes) throw malformed('expected signed notes')
    notes.push(note)
  }
  if (notes.length === 0) throw malformed('expected signed notes')
  return notes
}

export interface AddCheckpoint {
  readonly old: number
  /** Hashes in base64. */
  readonly proof: readonly string[]
  readonly note: string
}

const isHash = (line: string): boolean => {
  const bytes = Buffer.from(line, 'base64')
  return bytes.length === 32 && bytes.toString('base64') === line
}

/** The body of C2SP tlog-witness: the old size, the lines of a consistency proof, an empty line, and a checkpoint. */
export function readAddCheckpoint(body: Buffer): AddCheckpoint {
  const text = textOf(body)
  const split = text.indexOf('\n\n')
  if (split < 0) throw malformed('expected an empty line before the checkpoint')
  const [first = '', ...proof] = text.slice(0, split).split('\n')
  const old = /^old (0|[1-9]\d*)$/.exec(first)?.[1]
  if (old === undefined || !Number.isSafeInteger(Number(old))) throw malformed('expected `old <size>`')
  if (proof.length > mostProofLines) throw malformed(`expected at most ${mostProofLines} lines of proof`)
  if (!proof.every(isHash)) throw malformed('expected hashes in base64')
  const note = text.slice(split + 2)
  if (!note.endsWith('\n') || !note.includes('\n\n')) throw malformed('expected a signed checkpoint')
  return { old: Number(old), proof, note }
}
