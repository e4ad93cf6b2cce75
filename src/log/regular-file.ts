// Opens what may have been put there by anybody: a pipe without end, a device, a file of any size.
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { BalancerError } from '../errors.ts'

/** What a key, a note or a statement may take: far more than any that was ever made, and no burden for the memory. */
const mostTextBytes = 64 * 1024 * 1024

/** A file that is there, and is not what is to be read. */
export class UnusableFile extends BalancerError {
  constructor(
    readonly path: string,
    readonly fact: string,
  ) {
    super('log-invalid', `${path}: ${fact}`)
  }
}

/** Opens a file for reading. Rejects with what the system says, and with an UnusableFile for what has no end, or waits for a writer. */
export async function openRegular(path: string): Promise<{ readonly handle: FileHandle; readonly bytes: number }> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const facts = await handle.stat()
    if (facts.isDirectory())
      throw Object.assign(new Error(`EISDIR: read ${path}`), { code: 'EISDIR', syscall: 'read', path })
    if (!facts.isFile()) throw new UnusableFile(path, 'it is no regular file')
    return { handle, bytes: facts.size }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The content of a file of so many bytes at most. Rejects as openRegular, and for a larger one. */
export async function readRegular(path: string, most = mostTextBytes): Promise<Buffer> {
  const { handle, bytes } = await openRegular(path)
  try {
    if (bytes > most) throw new UnusableFile(path, `it has ${bytes} bytes, and may have ${most}`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}
