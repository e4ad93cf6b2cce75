// Proves one line of a folder to somebody who has not the folder.
import { join } from 'node:path'
import { BalancerError } from '../errors.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { checkpointPath } from './checkpoint-file.ts'
import { lookForInstances } from './folder.ts'
import { LineReader, lineStart } from './lines.ts'
import { inclusionProof, leafAt } from './log-proof.ts'
import { leafHash } from './merkle.ts'
import { textOfNote } from './note.ts'
import { verifyInclusion } from './proof.ts'
import { formatProof } from './proof-file.ts'
import { readRegular } from './regular-file.ts'
import { listSegments, orMissing } from './segments.ts'

interface FoundLog {
  readonly dir: string
  readonly note: string
  readonly checkpoint: Checkpoint
}

const unusable = (fact: string): BalancerError => new BalancerError('log-invalid', fact)

/**
 * The C2SP tlog-proof of a line, by the checkpoint that its log has now, with the bytes of the line as extra data. Where retention has deleted the
 * line it proves the hash that was kept of it: whoever has the line can still use it. Throws `log-invalid` if there is no such log or line, if no
 * checkpoint covers it yet, and if the line or its hashes are not those that were signed.
 */
export async function proveLine(dir: string, origin: string, index: number): Promise<string> {
  const { dir: logDir, note, checkpoint } = await findLog(dir, origin)
  const { size, root } = checkpoint
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw unusable(`line ${index} is not one of the ${size} that the checkpoint of ${origin} covers`)
  }
  const proof = await inclusionProof(logDir, index, size)
  const leaf = await leafAt(logDir, index)
  const line = await readLine(logDir, index)
  if (!verifyInclusion(index, size, leaf, proof, root))
    throw unusable(`the hashes in ${logDir} do not yield the signed root`)
  if (line !== undefined && leafHash(line) !== leaf) {
    throw unusable(`line ${index} of ${origin} is not the one that was signed`)
  }
  return formatProof({ extra: line, index, proof, note })
}

/** The log of this origin, also if it was set aside. */
async function findLog(dir: string, origin: string): Promise<FoundLog> {
  const others: string[] = []
  const { instances, unreadable } = await lookForInstances(dir)
  for (const instance of instances) {
    const dirs = [...instance.logs.map((log) => log.dir), ...instance.aside.map((name) => join(instance.dir, name))]
    for (const logDir of dirs) {
      const note = (await orMissing(readRegular(checkpointPath(logDir)), undefined))?.toString('utf8')
      const checkpoint = parseCheckpoint(textOfNote(note ?? '') ?? '')
      if (checkpoint === undefined) continue
      if (checkpoint.origin === origin) return { dir: logDir, note: note!, checkpoint }
      others.push(checkpoint.origin)
    }
  }
  const hidden = unreadable.map(({ path, fact }) => `; ${path}: ${fact}`).join('')
  throw unusable(`${dir} has no log ${origin}; it has ${others.length === 0 ? 'none' : others.join(', ')}${hidden}`)
}

/** The bytes of a line; undefined if retention has deleted it. */
async function readLine(logDir: string, index: number): Promise<Buffer | undefined> {
  const segment = (await listSegments(logDir)).findLast(({ first }) => first <= index)
  const reader = segment === undefined ? undefined : await orMissing(LineReader.open(segment.path), undefined)
  if (reader === undefined) return undefined
  try {
    let at = segment!.first
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      const i = index - at
      if (i < block.ends.length) return Buffer.from(block.buffer.subarray(lineStart(block, i), block.ends[i]))
      at += block.ends.length
    }
  } finally {
    await reader.close()
  }
  throw unusable(`line ${index} is missing in ${segment!.path}`)
}
