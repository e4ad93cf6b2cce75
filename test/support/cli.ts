// The command, with its streams in memory.
import { Readable } from 'node:stream'
import { run } from '../../src/cli/command.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export const auditlb = (...args: string[]): Promise<Ran> => auditlbOf('', ...args)

/** With this on standard input. */
export async function auditlbOf(input: string, ...args: string[]): Promise<Ran> {
  let out = ''
  let err = ''
  const code = await run(args, {
    in: Readable.from([Buffer.from(input)]),
    out: async (text) => {
      out += text
      return true
    },
    err: async (text) => {
      err += text
      return true
    },
  })
  return { code, out, err }
}
