// A proof for one line as a text that stands by itself: the format of C2SP tlog-proof.
import { fromHash, type Hash, hashBytes, toHash } from './merkle.ts'

const header = 'c2sp.org/tlog-proof@v1'

export interface ProofFile {
  /** What comes along and proves nothing by itself: here the bytes of the line. */
  readonly extra: Buffer | undefined
  readonly index: number
  /** From the leaf's sibling up. */
  readonly proof: readonly Hash[]
  /** The checkpoint, a signed note, as it stands. */
  readonly note: string
}

export function formatProof({ extra, index, proof, note }: ProofFile): string {
  const lines = [header]
  if (extra !== undefined) lines.push(`extra ${extra.toString('base64')}`)
  lines.push(`index ${index}`, ...proof.map((one) => fromHash(one).toString('base64')))
  return `${lines.join('\n')}\n\n${note}`
}

/** Reads a proof; a string says why it is none. */
export function parseProof(text: string): ProofFile | string {
  const end = text.indexOf('\n\n')
  if (end < 0) return 'it has no empty line before its checkpoint'
  const lines = text.slice(0, end).split('\n')
  if (lines.shift() !== header) return `its first line is not ${header}`
  let extra: Buffer | undefined
  if (lines[0]?.startsWith('extra ')) {
    extra = fromBase64(lines.shift()!.slice('extra '.length))
    if (extra === undefined) return 'its extra data is not in base64'
  }
  const [, digits] = /^index (0|[1-9]\d*)$/.exec(lines.shift() ?? '') ?? []
  const index = Number(digits)
  if (!Number.isSafeInteger(index)) return 'it has no index'
  const proof: Hash[] = []
  for (const line of lines) {
    const bytes = fromBase64(line)
    if (bytes?.length !== hashBytes) return 'it has a line that is no SHA-256 hash in base64'
    proof.push(toHash(bytes))
  }
  return { extra, index, proof, note: text.slice(end + 2) }
}

/** Bytes that have this form only. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
