// Faults of reading a segment: whether it is worth another try, and for how long.
import { UnusableFile } from './regular-file.ts'

/** What the whole process is short of, or the system asks to be tried again: it says nothing of the file. */
const passing = new Set(['EAGAIN', 'EBUSY', 'EINTR', 'EMFILE', 'ENFILE', 'ENOMEM', 'Z_MEM_ERROR'])

/**
 * `passing`: tried again for as long as it lasts. `lasting`: another try would find the same, which is no segment. `unknown`: the file,
 * its folder or its disk, which somebody may put right.
 */
export function kindOf(error: unknown): 'passing' | 'lasting' | 'unknown' {
  const code = codeOf(error)
  if (passing.has(code)) return 'passing'
  return code.startsWith('Z_') || code === 'EISDIR' || error instanceof UnusableFile ? 'lasting' : 'unknown'
}

/** Whether what was unpacked before may be damaged too. */
export const isDoubtful = (error: unknown): boolean => codeOf(error) === 'Z_DATA_ERROR'

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''
