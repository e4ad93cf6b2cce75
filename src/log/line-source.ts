// Where the bytes of a segment come from: a plain file, or a gzip file that is unpacked on the way.
import type { FileHandle } from 'node:fs/promises'
import { createGunzip, type Gunzip } from 'node:zlib'
import { openRegular } from './regular-file.ts'
import { compressedPath, isMissing } from './segments.ts'

export interface LineSource {
  /** Reads up to `most` bytes into `buffer[at…]`; 0 at the end. `position` is where the last read ended. */
  read(buffer: Buffer, at: number, most: number, position: number): Promise<number>
  close(): Promise<void>
}

/** Rejects with what the system says; what is no whole gzip file is told in the same form when it is read. */
export async function openSource(path: string): Promise<LineSource> {
  if (path.endsWith('.gz')) return gzipSource(path, await openFile(path))
  const plain = await openFile(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
    return undefined
  })
  if (plain !== undefined) return plainSource(plain)
  // The error names the path that was asked for.
  const packed = await openFile(compressedPath(path)).catch(() => undefined)
  return packed === undefined ? plainSource(await openFile(path)) : gzipSource(path, packed)
}

const openFile = async (path: string): Promise<FileHandle> => (await openRegular(path)).handle

const plainSource = (handle: FileHandle): LineSource => ({
  read: async (buffer, at, most, position) => (await handle.read(buffer, at, most, position)).bytesRead,
  close: () => handle.close(),
})

function gzipSource(path: string, handle: FileHandle): LineSource {
  const input = handle.createReadStream({ autoClose: false })
  const unpacked: Gunzip = createGunzip()
  input.on('error', (error) => unpacked.destroy(error)).pipe(unpacked)
  const chunks = unpacked[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>
  let rest: Buffer = Buffer.alloc(0)
  return {
    async read(buffer, at, most) {
      while (rest.length === 0) {
        const { done, value } = await chunks.next().catch((error: unknown) => {
          const { code = 'EIO' } = error as NodeJS.ErrnoException
          throw Object.assign(new Error(`${code}: read ${path}`, { cause: error }), { code, syscall: 'read', path })
        })
        if (done === true) return 0
        rest = value
      }
      const count = rest.copy(buffer, at, 0, most)
      rest = rest.subarray(count)
      return count
    },
    async close() {
      input.destroy()
      unpacked.destroy()
      await handle.close()
    },
  }
}
