// The bench of events: what recording one request costs, beside pino, which writes the same fields and proves nothing.
import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { installPeers } from '../lib/install.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
const option = (name, usual) => Number(process.argv[process.argv.indexOf(`--${name}`) + 1 || Infinity] ?? usual)
const rounds = option('rounds', 7)
const count = option('events', 100_000)
const names = ['nothing', 'auditlb', 'auditlb, no sink', 'pino']

installPeers()
await build({
  entry: { subjects: `${here}subjects.ts` },
  outDir: `${root}bench/.cache/event`,
  format: ['esm'],
  target: 'node20',
  config: false,
  silent: true,
})

function figuresOf(name) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${here}case.mjs`, JSON.stringify([name, count])], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${name} failed:\n${stderr}`)
  return JSON.parse(stdout)
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
const all = Object.fromEntries(names.map((name) => [name, []]))
for (let round = 1; round <= rounds; round++) {
  for (const name of names) all[name].push(figuresOf(name))
  process.stderr.write(
    `round ${round}/${rounds}  ${names.map((name) => `${name} ${all[name].at(-1).threadUs.toFixed(1)}`).join('  ')}\n`,
  )
}

// What a round's events cost beyond what every request costs: a slow spell falls on both.
const beyond = (name, figure) => all[name].map((figures, i) => figures[figure] - all.nothing[i][figure])
const rows = names.slice(1).map((name) => {
  const thread = beyond(name, 'threadUs')
  return [
    name,
    median(thread).toFixed(1),
    `${Math.min(...thread).toFixed(1)}-${Math.max(...thread).toFixed(1)}`,
    median(beyond(name, 'processUs')).toFixed(1),
    Math.round(median(all[name].map(({ bytes }) => bytes))),
  ]
})
const head = ['', 'main thread, µs/event', 'lowest-highest', 'whole process, µs/event', 'bytes/event']
console.log(
  `Node ${process.versions.node}, ${cpus()[0]?.model ?? 'an unknown CPU'}; ${count} events, ${rounds} rounds.\n`,
)
console.log([head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'))
