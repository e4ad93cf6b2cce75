// What a log has signed last, and who signs it from there on.
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { member } from './envelope.ts'
import { eventAt, lastHandOver } from './hand-over.ts'
import type { Keyring, Standing } from './keyring.ts'
import { type OpenedNote, openNote, parseVkey, type Verifier } from './note.ts'
import type { Segment } from './segments.ts'

export interface Signed {
  readonly checkpoint: Checkpoint
  readonly standing: Standing
  /** The note of the checkpoint, if a crash has kept it from being published. */
  readonly unpublished: Buffer | undefined
}

type Fault = { readonly fault: string }

/**
 * Holds the checkpoint and the last hand-over of a log against the keys of its instance. A hand-over that is not published yet
 * counts as the checkpoint: it is signed, and what is signed is never signed anew in another form.
 */
export async function signedOf(
  dir: string,
  note: Buffer,
  segments: readonly Segment[],
  keys: Keyring,
): Promise<Signed | Fault> {
  const verifiers = keys.known.flatMap((vkey) => verifierOf(vkey) ?? [])
  const published = open(note, verifiers)
  if ('fault' in published) return published
  const handOver = await lastHandOver(dir)
  const kept = handOver && open(handOver.note, verifiers)
  // The next key signs the same size as soon as the first one has signed its last.
  const taken = handOver !== undefined && handOver.size <= published.checkpoint.size && !handOver.note.equals(note)
  if (handOver === undefined || kept === undefined || taken) {
    const by = kept === undefined || 'fault' in kept ? undefined : kept.vkey
    return stand(published.checkpoint, published.vkey, by, undefined)
  }
  if ('fault' in kept) return kept
  const unpublished = handOver.size > published.checkpoint.size ? handOver.note : undefined
  const event = await eventAt(segments, handOver.size - 1)
  const next = event && member(event, 'event_name') === 'audit.key_rotated' ? member(event, 'log', 'to') : undefined
  if (typeof next !== 'string') return { fault: 'the line that names the next key is missing' }
  return stand(kept.checkpoint, next, kept.vkey, unpublished)

  function stand(checkpoint: Checkpoint, vkey: string, by: string | undefined, late: Buffer | undefined) {
    const standing = keys.standing(vkey, by)
    if (standing === undefined) return { fault: 'the checkpoint is not valid: it is not signed by a known key' }
    return { checkpoint, standing, unpublished: late }
  }
}

interface Known extends Verifier {
  readonly vkey: string
}

// The published key may be anything by now.
function verifierOf(vkey: string): Known | undefined {
  try {
    return { ...parseVkey(vkey), vkey }
  } catch {
    return undefined
  }
}

function open(note: Buffer, verifiers: readonly Known[]): { checkpoint: Checkpoint; vkey: string } | Fault {
  const opened: OpenedNote = openNote(note, verifiers)
  if ('fault' in opened) return { fault: `the checkpoint is not valid: ${opened.fault}` }
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint === undefined) return { fault: 'the checkpoint is not valid: it has no origin, size and root' }
  return { checkpoint, vkey: (opened.verifier as Known).vkey }
}
