// `auditlb prove`: the proof of one line.
import { proveLine } from '../log/prove.ts'
import { readArgs, wholeNumber } from './args.ts'
import type { Verb } from './verb.ts'

export const prove: Verb = {
  name: 'prove',
  summary: 'prints a proof that a line is in a log, for somebody who has not the log',
  usage: `Usage: auditlb prove DIR ORIGIN INDEX

Prints a proof in the format c2sp.org/tlog-proof, by the checkpoint that the log has now. ORIGIN and INDEX stand in each
line, under audit. The line comes along, unless retention has deleted it: then what is printed proves its hash.

Exit codes: 0 proved; 2 unusable arguments or input: no such log or line, or it is not what was signed.
`,
  async run(args, terminal) {
    const { dir, rest } = readArgs(args, { places: ['folder', 'origin', 'index'] })
    await terminal.out(await proveLine(dir, rest[0]!, wholeNumber('INDEX', rest[1]!)))
    return 0
  },
}
