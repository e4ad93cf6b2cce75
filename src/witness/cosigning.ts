// Cosigns checkpoints: those that are newer than what was seen, and that the lines which are here yield.
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../clock.ts'
import { type Checkpoint, parseCheckpoint } from '../log/checkpoint.ts'
import { type Cosigner, cosign } from '../log/cosignature.ts'
import { emptyRoot, fromHash, toHash } from '../log/merkle.ts'
import { openNote, type Verifier } from '../log/note.ts'
import { verifyConsistency } from '../log/proof.ts'
import { replaceFile } from '../log/replace-file.ts'
import { syncDir } from '../log/segments.ts'
import { type Answered, gap, malformed, Refusal } from './answer.ts'
import { keyPath, logDir, type Origin, type WriterFolder } from './catalogue.ts'
import type { Doubt } from './evidence.ts'
import type { HeldLog } from './held-log.ts'
import type { KeyPolicy } from './keys.ts'
import type { RosterKeeper } from './roster.ts'
import { ancestors, keepHandover, keepHandovers, successors } from './succession.ts'

export interface CosigningParts {
  readonly cosigner: Cosigner
  readonly policy: KeyPolicy
  readonly roster: RosterKeeper
  readonly clock: Clock
  readonly mode: number
}

interface Added {
  readonly old: number
  readonly proof: readonly string[]
  readonly note: string
}

interface Opened {
  readonly checkpoint: Checkpoint
  readonly text: string
  readonly note: string
  readonly key: Verifier
}

export class Cosigning {
  constructor(private readonly parts: CosigningParts) {}

  /** Cosigns a checkpoint by a key that was admitted. What it answers with 200 is on disk. */
  async cosign(entry: Origin, log: HeldLog, note: string, key: Verifier, doubt: Doubt): Promise<Answered> {
    const last = opened(note, [key])
    const { checkpoint } = last
    if (checkpoint.size > log.size) throw gap(entry.origin, log.size)
    await this.hold(log, last, doubt)
    if (checkpoint.size < entry.size) {
      const fault = `a checkpoint of ${checkpoint.size} lines came after one of ${entry.size}`
      await this.parts.roster.shrunk(entry, fault, true)
      throw new Refusal(409, 'older', fault, { members: { size: entry.size } })
    }
    return this.sign(entry, log, last)
  }

  /** C2SP tlog-witness: the statuses are those that it names, and 503 while lines are missing that the checkpoint covers. */
  async addCheckpoint(entry: Origin, log: HeldLog, { old, proof, note }: Added, doubt: Doubt): Promise<Answered> {
    const keys = entry.vkey === undefined ? (this.parts.policy.pinnedFor(entry) ?? []) : await successors(entry)
    const found = opened(note, keys)
    const { size, root } = found.checkpoint
    if (old > size) throw malformed(`the old size ${old} is larger than ${size}`)
    if (old !== entry.size) throw outdated(entry.size)
    const before = entry.size === 0 ? emptyRoot : toHash(Buffer.from(entry.root, 'base64'))
    const hashes = proof.map((line) => toHash(Buffer.from(line, 'base64')))
    if (old > 0 && size === old && root !== before && proof.length === 0) {
      await doubt(`two checkpoints of ${size} lines have different roots`, { note })
      throw outdated(entry.size)
    }
    if (!verifyConsistency(old, before, size, root, hashes))
      throw new Refusal(422, 'inconsistent', 'the consistency proof does not hold')
    if (size > log.size)
      throw new Refusal(503, 'lines-first', `of ${size} lines ${log.size} have come`, {
        members: { size: log.size },
        headers: { 'retry-after': '1' },
      })
    await this.hold(log, found, doubt, 422)
    return this.sign(entry, log, found)
  }

  /** Makes the folder of a writer, with the key of this witness. */
  async makeFolder({ dir }: WriterFolder): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o750 })
    await replaceFile(join(dir, 'witness.vkey'), `${this.parts.cosigner.vkey}\n`, this.parts.mode)
    await syncDir(dir)
    await syncDir(dirname(dir))
    await syncDir(dirname(dirname(dir)))
  }

  /** The lines that are here must yield the root. */
  private async hold(log: HeldLog, shown: Opened, doubt: Doubt, status = 409): Promise<void> {
    const { size, root } = shown.checkpoint
    if ((await log.root(size)) !== root) {
      const fault = `the first ${size} lines are not those that were signed`
      await doubt(fault, { note: shown.note })
      throw new Refusal(status, 'rewritten', fault, { members: { size: log.size } })
    }
    // Lines may have come anew after some were lost here: they must be those that were cosigned before.
    const { checkpoint } = log
    if (
      checkpoint !== undefined &&
      checkpoint.size <= log.size &&
      (await log.root(checkpoint.size)) !== checkpoint.root
    ) {
      const fault = `the first ${checkpoint.size} lines are not those that were cosigned`
      await doubt(fault, { note: shown.note })
      throw new Refusal(status, 'rewritten', fault, { members: { size: log.size } })
    }
  }

  private async sign(entry: Origin, log: HeldLog, { checkpoint, text, note, key }: Opened): Promise<Answered> {
    const { cosigner, clock, mode } = this.parts
    const line = await cosign(text, Math.floor(clock.now() / 1000), cosigner)
    const signed = `${note.slice(0, text.length + 1)}${writerLines(note.slice(text.length + 1), cosigner.name)}${line}`
    if (entry.vkey !== key.vkey) await replaceFile(keyPath(entry), `${key.vkey}\n`, mode)
    if (entry.folder.vkey !== key.vkey) await this.publishKey(entry, key)
    await log.publish(signed)
    const { size, root } = checkpoint
    Object.assign(entry, { size, root: fromHash(root).toString('base64'), note: signed, vkey: key.vkey })
    // The last checkpoint of a key that hands over to another: whoever verifies the folder asks for it.
    if (log.changes.some(({ index, from }) => index < size && from.vkey === key.vkey))
      await keepHandover(logDir(entry), size, note, mode)
    this.parts.roster.cosigned(entry)
    return { status: 200, body: line }
  }

  /** The key beside the logs is the newest: the older ones lead to it. */
  private async publishKey({ folder, vkey }: Origin, key: Verifier): Promise<void> {
    if (folder.vkey !== undefined && folder.vkey !== vkey) return
    await replaceFile(join(folder.dir, 'vkey'), `${key.vkey}\n`, this.parts.mode)
    await syncDir(folder.dir)
    folder.vkey = key.vkey
  }

  /**
   * The first key of a log must be welcome, or led to by one that is. Another one later must be led to by the last. Tells the keys
   * that lead to it.
   */
  async admit(entry: Origin, log: HeldLog, handovers: readonly string[], key: Verifier): Promise<Verifier[]> {
    if (entry.vkey === key.vkey) return [key]
    await keepHandovers(entry, log, handovers, this.parts.mode)
    if (entry.vkey !== undefined) {
      if ((await successors(entry)).some(({ vkey }) => vkey === key.vkey)) return [key]
      const fault = `${key.vkey} is another key than ${entry.vkey}, which has not handed over to it`
      throw new Refusal(403, 'key-refused', fault)
    }
    const before = await ancestors(entry, key)
    for (const one of before) if (await this.parts.policy.isWelcome(entry.origin, entry, one)) return before
    throw new Refusal(403, 'key-refused', `${key.vkey} is not a key for ${entry.origin}`)
  }
}

function opened(note: string, keys: readonly Verifier[]): Opened {
  const found = openNote(Buffer.from(note), keys)
  if ('fault' in found) throw new Refusal(403, 'signature-refused', `the checkpoint: ${found.fault}`)
  const checkpoint = parseCheckpoint(found.text)
  if (checkpoint === undefined) throw malformed('the note is no checkpoint')
  return { checkpoint, text: found.text, note, key: found.verifier }
}

/** Whoever cannot sign for a key gets nothing done in its name. */
export const mustBeSigned = (note: string, key: Verifier): void => void opened(note, [key])

const outdated = (size: number): Refusal =>
  new Refusal(409, 'outdated', 'the old size is another', {
    body: `${size}\n`,
    headers: { 'content-type': 'text/x.tlog.size' },
  })

/** The signature lines but those under the name of this witness: it may have signed the note before. */
const writerLines = (lines: string, name: string): string =>
  lines
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(`— ${name} `))
    .map((line) => `${line}\n`)
    .join('')
