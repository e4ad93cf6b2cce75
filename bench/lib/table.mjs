// The table of medians: one row for each peer.
import { median } from './stats.mjs'

const COLUMNS = [
  'peer',
  'CPU µs/request',
  'lowest-highest',
  '× undici-hop',
  '× fast-proxy',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'peak RSS MiB',
  'errors',
]

const fixed = (number, digits) => (number === undefined ? '-' : number.toFixed(digits))

/** The median over rounds of the ratio within a round: a slow spell of the machine is in both of its terms. */
function ratio(rounds, others) {
  const ratios = rounds.flatMap(({ cpuUs }, index) => {
    const quotient = cpuUs / others?.[index]?.cpuUs
    return Number.isFinite(quotient) ? [quotient] : []
  })
  return ratios.length > 0 ? median(ratios) : undefined
}

function totalErrors(rounds) {
  const total = {}
  for (const { errors } of rounds) {
    for (const [fault, times] of Object.entries(errors)) total[fault] = (total[fault] ?? 0) + times
  }
  return total
}

export function summarise(results) {
  const roundsOf = (name) => results.find((result) => result.peer.name === name)?.rounds
  return results.map(({ peer, missing, rounds }) => {
    if (missing !== undefined) return { name: peer.name, missing, errors: {}, rounds }
    const good = rounds.filter((round) => round.requests > 0)
    const middle = (key) => (good.length > 0 ? median(good.map((round) => round[key])) : undefined)
    const cpu = good.map((round) => round.cpuUs)
    return {
      name: peer.name,
      cpuUs: middle('cpuUs'),
      cpuRangeUs: good.length > 0 ? [Math.min(...cpu), Math.max(...cpu)] : undefined,
      toUndiciHop: ratio(rounds, roundsOf('undici-hop')),
      toFastProxy: ratio(rounds, roundsOf('fast-proxy')),
      perSecond: middle('perSecond'),
      p50Ms: middle('p50Ms'),
      p99Ms: middle('p99Ms'),
      peakBytes: middle('peakBytes'),
      errors: totalErrors(rounds),
      rounds,
    }
  })
}

function cells(row) {
  if (row.missing !== undefined) return [row.name, row.missing, ...Array(COLUMNS.length - 2).fill('')]
  const errors = Object.entries(row.errors).map(([fault, times]) => `${times} × ${fault}`)
  return [
    row.name,
    fixed(row.cpuUs, 1),
    row.cpuRangeUs?.map((us) => us.toFixed(1)).join('-') ?? '-',
    fixed(row.toUndiciHop, 2),
    fixed(row.toFastProxy, 2),
    fixed(row.perSecond, 0),
    fixed(row.p50Ms, 1),
    fixed(row.p99Ms, 1),
    fixed(row.peakBytes && row.peakBytes / 2 ** 20, 0),
    errors.join(', ') || '0',
  ]
}

/** Markdown, padded so that it reads as well in a terminal. */
export function table(rows) {
  const lines = [COLUMNS, ...rows.map(cells)]
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  const print = (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [print(lines[0]), rule, ...lines.slice(1).map(print)].join('\n')
}
