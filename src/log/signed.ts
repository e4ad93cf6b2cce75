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
  /** Whether the key that the log has gone over to has not signed anything of it yet. */
  readonly owed: boolean
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
  const handOver = await lastHandOver(dir)
  const kept = handOver && open(handOver.note, verifiers)
  /** The key that a known one has handed the log to. */
  const next = async (): Promise<string | undefined> => {
    if (handOver === undefined || kept === undefined || 'fault' in kept) return undefined
    const event = await eventAt(segments, handOver.size - 1)
    const to = event && member(event, 'event_name') === 'audit.key_rotated' ? member(event, 'log', 'to') : undefined
    return typeof to === 'string' ? to : undefined
  }
  let published = open(note, verifiers)
  if ('fault' in published) {
    // A start that was broken off has handed over this log, and not yet published the key.
    const fresh = verifierOf((await next()) ?? '')
    const again = fresh === undefined ? published : open(note, [fresh])
    if ('fault' in again) return published
    published = again
  }
  // The next key signs the same size as soon as the first one has signed its last.
  const taken = handOver !== undefined && handOver.size <= published.checkpoint.size && !handOver.note.equals(note)
  if (handOver === undefined || kept === undefined || taken) {
    const by = kept === undefined || 'fault' in kept ? undefined : kept.vkey
    return stand(published.checkpoint, published.vkey, { by })
  }
  if ('fault' in kept) return kept
  const unpublished = handOver.size > published.checkpoint.size ? handOver.note : undefined
  const to = await next()
  if (to === undefined) return { fault: 'the line that names the next key is missing' }
  return stand(kept.checkpoint, to, { by: kept.vkey, unpublished, owed: true })

  function stand(
    checkpoint: Checkpoint,
    vkey: string,
    { by, unpublished, owed = false }: { by: string | undefined; unpublished?: Buffer | undefined; owed?: boolean },
  ) {
    const standing = keys.standing(vkey, by)
    if (standing === undefined)
      return { fault: `another key is in use: ${shortName(vkey)} has signed the log, and is not here to name it` }
    return { checkpoint, standing, unpublished, owed }
  }
}

interface Known extends Verifier {
  readonly vkey: string
}

/** Name and id of a verifier key. */
const shortName = (vkey: string): string => vkey.slice(0, vkey.lastIndexOf('+'))

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
  if ('fault' in opened) {
    const by = opened.unknown ? `; it names ${opened.names.join(', ')}` : ''
    return { fault: `the checkpoint is not valid: ${opened.fault}${by}` }
  }
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint === undefined) return { fault: 'the checkpoint is not valid: it has no origin, size and root' }
  return { checkpoint, vkey: (opened.verifier as Known).vkey }
}
