// The checkpoints by which a log went over to another key: the old key signed the line that names the new one.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError } from '../errors.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { parseLine } from './envelope.ts'
import { handOverDir } from './hand-over.ts'
import { type KeyChange, keyChangeMark, keyChangeOf } from './key-line.ts'
import { LineReader, lineStart } from './lines.ts'
import { inclusionProof } from './log-proof.ts'
import { type Hash, leafHash } from './merkle.ts'
import { openNote, textOfNote } from './note.ts'
import { verifyInclusion } from './proof.ts'
import { readRegular } from './regular-file.ts'
import { listSegments, orMissing, type Segment } from './segments.ts'

export interface KeptNote {
  readonly file: string
  readonly size: number
  readonly note: Buffer
  /** What the note says, whoever signed it. */
  readonly origin?: string
  readonly root?: Hash
  /** The change of keys that a line within tells of, and that the old key signed. */
  readonly change?: KeyChange
  /** Why the note proves no change. Neither this nor a change: retention deleted the line. */
  readonly fault?: string
}

type FoundChange = KeyChange & { readonly leaf: Hash }

/** The kept checkpoints of a log, the smallest first. What cannot be read of the folder is thrown. */
export async function readKeptNotes(logDir: string): Promise<KeptNote[]> {
  const dir = handOverDir(logDir)
  // One that is just being written has an ending of its own.
  const names = (await orMissing(readdir(dir), [])).filter((name) => !name.endsWith('.tmp')).sort()
  if (names.length === 0) return []
  const segments = await listSegments(logDir)
  const notes: KeptNote[] = []
  for (const name of names) {
    const file = join(dir, name)
    const before = notes.at(-1)?.size ?? 0
    if (/^\d{16}$/.test(name)) notes.push(await judge(logDir, file, Number(name), before, segments))
    else notes.push({ file, size: before, note: Buffer.alloc(0), fault: 'its name is no size of a log' })
  }
  return notes
}

async function judge(
  logDir: string,
  file: string,
  size: number,
  before: number,
  segments: readonly Segment[],
): Promise<KeptNote> {
  const note = await readRegular(file)
  const claimed = parseCheckpoint(textOfNote(note.toString('utf8')) ?? '')
  const kept = { file, size, note }
  if (claimed === undefined) return { ...kept, fault: 'it is no checkpoint' }
  const known = { ...kept, origin: claimed.origin, root: claimed.root }
  if (claimed.size !== size) return { ...known, fault: `it covers ${claimed.size} lines, and its name says ${size}` }
  const changes = await changesWithin(segments, before, size)
  if (changes.length === 0) {
    if (before < (segments[0]?.first ?? size)) return known
    return { ...known, fault: 'no line that it covers tells of a new key' }
  }
  let fault = ''
  for (const change of changes.reverse()) {
    const found = await faultOf(logDir, note, change, size, claimed.root)
    if (found === undefined) return { ...known, change }
    fault = found
  }
  return { ...known, fault }
}

async function faultOf(
  logDir: string,
  note: Buffer,
  { index, from, leaf }: FoundChange,
  size: number,
  root: Hash,
): Promise<string | undefined> {
  const opened = openNote(note, [from])
  if ('fault' in opened) return `${opened.fault}; line ${index} names the old key ${from.vkey}`
  const proof = await inclusionProof(logDir, index, size).catch((error: unknown) => {
    if (error instanceof BalancerError) return undefined
    throw error
  })
  if (proof === undefined) return 'hashes that it needs are missing or cut off'
  if (!verifyInclusion(index, size, leaf, proof, root)) {
    return `line ${index}, which names the new key, is not among the lines that it covers`
  }
  return undefined
}

/** The changes that lines of `[from, to)` tell of: those of the last segment that has any. */
async function changesWithin(segments: readonly Segment[], from: number, to: number): Promise<FoundChange[]> {
  for (const [i, segment] of [...segments.entries()].reverse()) {
    if (segment.first >= to) continue
    const end = segments[i + 1]?.first ?? Infinity
    if (end <= from) break
    const found = (await changesIn(segment)).filter(({ index }) => index >= from && index < to)
    if (found.length > 0) return found
  }
  return []
}

async function changesIn({ path, first }: Segment): Promise<FoundChange[]> {
  const reader = await orMissing(LineReader.open(path), undefined)
  if (reader === undefined) return []
  const found: FoundChange[] = []
  try {
    let index = first
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      for (let i = 0; i < block.ends.length; i++, index++) {
        const line = block.buffer.subarray(lineStart(block, i), block.ends[i]!)
        if (!line.includes(keyChangeMark)) continue
        const change = keyChangeOf(parseLine(line.toString('utf8')), index)
        if (change !== undefined) found.push({ ...change, leaf: leafHash(line) })
      }
    }
  } finally {
    await reader.close()
  }
  return found
}
