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

const sorted = (list) => [...list].sort((a, b) => a - b)
const median = (list) => sorted(list)[Math.floor(list.length / 2)]
const all = Object.fromEntries(names.map((name) => [name, []]))
for (let round = 1; round <= rounds; round++) {
  for (const name of names) all[name].push(figuresOf(name))
  const told = names.map((name) => `${name} ${median(all[name].at(-1).windows).toFixed(1)}`)
  process.stderr.write(`round ${round}/${rounds}  ${told.join('  ')}\n`)
}

// What an event costs beyond what every request costs. A window is 4,096 events: the quietest of all tells what is left when
// nobody else uses the machine.
const beyond = (name, of) => of(name) - of('nothing')
const quietest = (name) => Math.min(...all[name].flatMap(({ windows }) => windows))
const usual = (name) => median(all[name].flatMap(({ windows }) => windows))
const whole = (name) => median(all[name].map((figures) => figures.whole))
const rows = names
  .slice(1)
  .map((name) => [
    name,
    beyond(name, quietest).toFixed(1),
    beyond(name, usual).toFixed(1),
    beyond(name, whole).toFixed(1),
    Math.round(median(all[name].map(({ bytes }) => bytes))),
  ])
const head = [
  '',
  'main thread, quietest window, µs/event',
  'main thread, median window, µs/event',
  'whole process, median, µs/event',
  'bytes/event',
]
console.log(
  `Node ${process.versions.node}, ${cpus()[0]?.model ?? 'an unknown CPU'}; ${count} events, ${rounds} rounds.\n`,
)
console.log([head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'))
