// What a stream has besides lines, so that they can be verified: checkpoints, and hashes of lines that do not come.
import { canonical } from '../../canonical.ts'
import type { MissingLines, SignedCheckpoint } from '../../sink.ts'

const mostHashLine = 16_000
/** What a line of hashes has besides them, at most, and what each of them takes in base64. */
const hashLineFrame = 512
const hashChars = 43

/** A key that handed over has signed what no later key vouches for: its last checkpoint comes too, before the one of the same size by the next. */
export const newerThan = (before: number, checkpoints: readonly SignedCheckpoint[]): SignedCheckpoint[] =>
  checkpoints.filter(({ size }, i) => size > before && size !== checkpoints[i - 1]?.size)

/** `reached`: the index behind the last line that was written. The next one has it, unless some are missing. */
export function checkpointLine(checkpoint: SignedCheckpoint, reached: number): string {
  const { edge, edgeBefore, note, origin, size, vkey } = checkpoint
  const proof = edgeBefore === undefined ? {} : { edgeBefore }
  return `${canonical({ checkpoint: { edge, ...proof, note, origin, reached, size, vkey } })}\n`
}

/** The hashes of lines that do not come, without which those behind could not be held against a checkpoint. */
export function hashLines({ origin, first, last, leaves }: MissingLines, most: number | false, before = -1): string {
  if (leaves.length < last - first + 1) return ''
  const each = Math.floor(((most || mostHashLine) - hashLineFrame) / hashChars)
  let text = ''
  for (let from = Math.max(first, before + 1); from <= last; from += each) {
    const part = leaves.slice(from - first, from - first + each)
    const hashes = { first: from, leaves: Buffer.concat(part).toString('base64'), origin }
    text += `${canonical({ hashes })}\n`
  }
  return text
}
