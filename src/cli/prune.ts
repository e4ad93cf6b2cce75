// `auditlb prune`: deletes what the writers of a folder do not keep any more.
import { type PruneReport, pruneLog } from '../audit/prune.ts'
import { printable } from '../log/summary.ts'
import { readArgs } from './args.ts'
import type { Verb } from './verb.ts'

export const prune: Verb = {
  name: 'prune',
  summary: 'deletes what the retention policy of each writer in a folder does not keep',
  usage: `Usage: auditlb prune DIR [--by WHO] [--reason TEXT]

Applies the policy that each writer below DIR has kept in its retention.json, now. What is left still verifies: each
deletion is recorded, and signed by the key beside the log. Writers that run prune by themselves, and are left alone.
Holds in DIR/holds are kept. Each record of a deletion tells who has it done and what for, where that is given.

Exit codes: 0 done, 1 some writer's lines cannot be pruned, 2 unusable arguments or input.
`,
  async run(args, terminal) {
    const { dir, values } = readArgs(args, { names: ['by', 'reason'] })
    const logger = { warn: () => {}, error: () => {} }
    const reports = await pruneLog(dir, { logger, by: values.by, reason: values.reason })
    await terminal.out(
      reports
        .flatMap(format)
        .map((line) => `${printable(line)}\n`)
        .join(''),
    )
    return reports.some(({ fault }) => fault !== undefined) ? 1 : 0
  },
}

function format({ instance, pruned, heldBy, fault }: PruneReport): string[] {
  if (heldBy !== undefined) return [`${instance}: prunes by itself: ${heldBy}`]
  if (fault !== undefined) return [`${instance}: cannot be pruned: ${fault}`]
  if (pruned.length === 0) return [`${instance}: nothing to delete`]
  return pruned.map(
    ({ log, first, last, bytes }) => `${instance}/${log}: lines ${first} to ${last} deleted, ${bytes} bytes`,
  )
}
