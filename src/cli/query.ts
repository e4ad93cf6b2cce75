// `auditlb query`: the events of a folder that match.
import { canonical, type Json } from '../canonical.ts'
import { reasonOf } from '../errors.ts'
import { type LoggedEvent, member } from '../log/envelope.ts'
import { queryLog } from '../log/query.ts'
import { printable, summary } from '../log/summary.ts'
import { readArgs, wholeNumber } from './args.ts'
import type { ExitCode, Verb } from './verb.ts'

const texts = [
  'type',
  'log',
  'since',
  'until',
  'backend',
  'status',
  'client',
  'path',
  'actor',
  'result',
  'pool',
] as const

export const query: Verb = {
  name: 'query',
  summary: 'prints the events in a folder that match, merged by time',
  usage: `Usage: auditlb query DIR [filters] [--json]

Events of one log come in the order of their index, whatever their times: audit.opened stands before what happened while
the log was being opened. The logs are merged by time. Every line is read, whatever --since says, for a clock can have
been set back; --log spares the other logs.

  --type T        name of the event, or its beginning with a * behind: 'audit.*'
  --log L         traffic, security or control
  --since T       not before: 2026-01-31T12:00:00Z, or a duration back from now such as 30m, 1h, 7d
  --until T       before: as --since
  --backend B     id of a backend that was chosen, tried, or is what the event is about
  --status S      503, or a class: 5xx
  --client C      address, or network: 10.0.0.0/8; or a pseudonym
  --path P        path that the client asked for, or what is left of it below a mount; or its beginning with a * behind
  --actor A       id of who made a change
  --request-id R  id of a request
  --revision N    revision of the configuration that was in force
  --result R      result code: connect-refused
  --pool P        name of a balancer
  --limit N       the first so many
  --last N        the last so many, 10000 at most, in the same order; everything is read for that, so give --since too
  --json          each event as a line of JSON, as it was recorded: with all fields, and origin and index for prove

Exit codes: 0, also if nothing matches; 2 unusable arguments or input, such as an instance that cannot be read, the
name of an event that there is none of (those that begin with app. are free), or a line that cannot be printed: it
is named on stderr, and the others are printed.
`,
  async run(args, terminal) {
    const { dir, values, flags } = readArgs(args, {
      names: [...texts, 'request-id', 'revision', 'limit', 'last'],
      flags: ['json'],
    })
    const filters: Record<string, string | number> = {}
    for (const name of texts) if (values[name] !== undefined) filters[name] = values[name]
    if (values['request-id'] !== undefined) filters.requestId = values['request-id']
    if (values.revision !== undefined) filters.revision = wholeNumber('--revision', values.revision)
    if (values.limit !== undefined) filters.limit = wholeNumber('--limit', values.limit)
    if (values.last !== undefined) filters.last = wholeNumber('--last', values.last)
    let code: ExitCode = 0
    for await (const event of queryLog(dir, filters)) {
      const { line, fault } = format(event, flags.has('json'))
      if (fault !== undefined) {
        code = 2
        await terminal.err(`auditlb: ${fault}\n`)
      } else if (!(await terminal.out(`${line}\n`))) break
    }
    return code
  },
}

// A number that JSON can write and no line may hold, such as 1e999, or more depth than a call stack has.
function format(event: LoggedEvent, json: boolean): { readonly line?: string; readonly fault?: string } {
  try {
    return { line: json ? canonical(event as Json) : summary(event) }
  } catch (error) {
    const [origin, index] = [member(event, 'audit', 'origin'), member(event, 'audit', 'index')]
    return { fault: printable(`line ${String(index)} of ${String(origin)} cannot be printed: ${reasonOf(error)}`) }
  }
}
