// `auditlb verify-proof`: whether a proof holds.
import { parseLine } from '../log/envelope.ts'
import { printable, summary } from '../log/summary.ts'
import { type ProofReport, verifyProof } from '../log/verify-proof.ts'
import { readArgs, readEvidence, readGiven } from './args.ts'
import type { Verb } from './verb.ts'

export const verifyProofVerb: Verb = {
  name: 'verify-proof',
  summary: 'checks what prove has printed',
  usage: `Usage: auditlb verify-proof FILE [--vkey FILE] [--line FILE]

  --vkey FILE  verifier keys, one per line, as got from the writer. Without it nobody knows who signed the proof.
  --line FILE  the line, where the proof does not bring it along or another one is meant: as it stands in the log, or as
               the same JSON with any order of keys and any white space

Exit codes: 0 holds, 1 does not hold, 2 unusable arguments or input.
`,
  async run(args, terminal) {
    const { dir: file, values } = readArgs(args, { places: ['file'], names: ['vkey', 'line'] })
    const text = await readGiven(file, 'proof')
    const given = await readEvidence(values)
    const line = values.line === undefined ? {} : { line: await readGiven(values.line, 'line') }
    const report = verifyProof(text.toString('utf8'), { ...given, ...line })
    await terminal.out(format(report))
    return report.ok ? 0 : 1
  },
}

function format({ origin, index, size, line, fault, authenticated }: ProofReport): string {
  const lines = [`${origin}: line ${index} of ${size} signed`]
  if (fault !== undefined) lines.push(`  ${fault}`, 'does not hold')
  else {
    lines.push(`  ${summary(parseLine(line!)!)}`)
    lines.push(`holds, ${authenticated ? 'authenticated by the given key' : 'self-consistent, not authenticated'}`)
  }
  return lines.map((one) => `${printable(one)}\n`).join('')
}
