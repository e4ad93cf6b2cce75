// One scenario as an SVG: a row for each strategy; the share of those it is about, the p99 latency, and the failures.

const left = 176
const top = 62
const plot = { width: 240, height: 62 }
const pitch = { x: 286, y: 84 }

const style = `
  text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 10px; fill: #656d76 }
  .title { font-size: 13px; font-weight: 600 }
  .name { font-weight: 600; text-anchor: end }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .frame { fill: none; stroke: #d0d7de }
  .spell { fill: #656d76; fill-opacity: .1 }
  .fair { fill: none; stroke: #656d76; stroke-dasharray: 3 3 }
  .line { fill: none; stroke-width: 1.5; stroke-linejoin: round }
  .share { stroke: #0969da } .p99 { stroke: #8250df } .failed { stroke: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .frame { stroke: #3d444d }
    .spell { fill: #9198a1; fill-opacity: .14 }
    .fair { stroke: #9198a1 }
    .share { stroke: #4493f8 } .p99 { stroke: #ab7df8 } .failed { stroke: #f85149 }
  }`

const lowestMs = 10
const highestMs = 3000
const round = (value) => Number(value.toFixed(1))
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const atLog = (ms) => Math.log(Math.min(highestMs, Math.max(lowestMs, ms)) / lowestMs) / Math.log(highestMs / lowestMs)

/** What each column shows: where on the axis a point is, from 0 to 1, and the marks of that axis. */
function columnsFor(mostShare, mostFailed) {
  const percent = (part) => `${round(part * 100)} %`
  const linear = (most) => ({
    at: (value) => Math.min(1, value / most),
    marks: [0, most / 2, most].map((value) => [value / most, percent(value)]),
  })
  return [
    { name: 'share', title: 'share of the picks', ...linear(mostShare) },
    {
      name: 'p99',
      title: 'p99 of the successes',
      at: atLog,
      marks: [10, 100, 1000].map((ms) => [atLog(ms), ms < 1000 ? `${ms} ms` : '1 s']),
    },
    { name: 'failed', title: 'failed', ...linear(mostFailed) },
  ]
}

/** The least of these that is not below any of the values, so that every row has the same scale. */
const scaleFor = (values) => {
  const most = Math.max(...values)
  return [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1].find((step) => step >= most - 0.005) ?? 1
}

const path = (points) => `M${points.map(([x, y]) => `${round(x)} ${round(y)}`).join('L')}`

/** `rows` holds for each strategy its name and its series. */
export function chart(scenario, rows) {
  const { name, about, seconds, from, to, fair } = scenario
  const points = rows.flatMap((row) => row.series)
  const columns = columnsFor(
    scaleFor([...points.map(({ share }) => share), ...points.map(({ time }) => fair(time))]),
    scaleFor(points.map(({ failed }) => failed)),
  )
  const height = top + rows.length * pitch.y + 14
  const width = left + columns.length * pitch.x
  const parts = columns.map(
    ({ title }, i) => `<text class="title" x="${left + i * pitch.x}" y="${top - 14}">${title}</text>`,
  )
  rows.forEach((row, r) => {
    const y0 = top + r * pitch.y
    parts.push(`<text class="name" x="${left - 50}" y="${y0 + plot.height / 2 + 4}">${escaped(row.name)}</text>`)
    for (const [c, column] of columns.entries()) parts.push(panel(column, row.series, left + c * pitch.x, y0))
  })

  function panel(column, series, x0, y0) {
    const x = (time) => x0 + (time / seconds) * plot.width
    const y = (value) => y0 + plot.height * (1 - column.at(value))
    const out = [
      `<rect class="spell" x="${round(x(from))}" y="${y0}" width="${round(x(to) - x(from))}" height="${plot.height}"/>`,
      `<rect class="frame" x="${x0}" y="${y0}" width="${plot.width}" height="${plot.height}"/>`,
    ]
    for (const [at, label] of column.marks)
      out.push(`<text class="small end" x="${x0 - 5}" y="${round(y0 + plot.height * (1 - at) + 3.5)}">${label}</text>`)
    for (let time = 0; time <= seconds; time += 10)
      out.push(`<text class="small middle" x="${round(x(time))}" y="${y0 + plot.height + 12}">${time} s</text>`)
    if (column.name === 'share')
      out.push(`<path class="fair" d="${path(series.map(({ time }) => [x(time), y(fair(time))]))}"/>`)
    out.push(
      `<path class="line ${column.name}" d="${path(series.map((point) => [x(point.time), y(point[column.name])]))}"/>`,
    )
    return out.join('\n')
  }

  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(`${name}: ${about}`).replaceAll('"', '&quot;')}">
<style>${style}
</style>
<text class="title" x="12" y="22">${escaped(name)}</text>
<text x="${left}" y="22">${escaped(about.replaceAll('`', ''))}</text>
${parts.join('\n')}
</svg>
`
}
