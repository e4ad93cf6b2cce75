// Checkpoints: what a log signs of itself, as C2SP tlog-checkpoint defines them.
import { fromHash, type Hash, hashBytes, toHash } from './merkle.ts'

export interface Checkpoint {
  readonly origin: string
  /** How many lines it covers. */
  readonly size: number
  readonly root: Hash
}

/** The body of the note: origin, size and root, a line each. */
export const formatCheckpoint = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${fromHash(root).toString('base64')}\n`

/** Reads the body of a note. Undefined if it is no checkpoint; extension lines are passed over. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const [origin, size, root] = text.split('\n')
  if (!origin || size === undefined || root === undefined) return undefined
  const bytes = Buffer.from(root, 'base64')
  const count = Number(size)
  if (!/^(0|[1-9]\d*)$/.test(size) || !Number.isSafeInteger(count)) return undefined
  if (bytes.length !== hashBytes || bytes.toString('base64') !== root) return undefined
  return { origin, size: count, root: toHash(bytes) }
}
