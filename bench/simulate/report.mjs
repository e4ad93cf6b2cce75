// The figures of a scenario as a table, and the part of the page that shows them.

const percent = (part) => `${(part * 100).toFixed(1)} %`
const ms = (value) => value.toFixed(value < 100 ? 1 : 0)

const columns = [
  ['strategy', ({ name }) => `\`${name}\``],
  ['share', ({ share }) => percent(share)],
  ['share after', ({ after }) => percent(after)],
  ['others: least-most', ({ least, most }) => `${percent(least)}-${percent(most)}`],
  ['p50 ms', ({ p50 }) => ms(p50)],
  ['p99 ms', ({ p99 }) => ms(p99)],
  ['p99.9 ms', ({ p999 }) => ms(p999)],
  ['failed', ({ failed }) => percent(failed)],
]

/** A table in Markdown, its columns aligned. */
export function table(rows) {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, of]) => of(row)))]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i].length)))
  const lines = cells.map((line) => `| ${line.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  return lines.join('\n')
}

export const section = ({ name, about, from, to }, rows) => `## ${name}

${about} The figures are from ${from} s to ${to} s; \`share after\` is from then on.

![${name}](simulations/${name}.svg)

${table(rows)}
`

export const begins = '<!-- simulate: begins -->'
export const ends = '<!-- simulate: ends -->'

/** The page with what stands between the marks replaced. */
export function fill(page, text) {
  const from = page.indexOf(begins)
  const to = page.indexOf(ends)
  if (from === -1 || to === -1) throw new Error(`the page has no ${begins} and ${ends}`)
  return `${page.slice(0, from + begins.length)}\n\n${text}\n${page.slice(to)}`
}
