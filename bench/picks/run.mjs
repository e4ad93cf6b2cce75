// The bench of picks: what choosing a backend costs, for each strategy and number of backends.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
const page = `${root}docs/strategies.md`
const sizes = [8, 64, 512, 4096]
const key = { header: 'x-user' }
const hash = (options) => ['consistent-hash', { key, ...options }]
const subjects = [
  ['first', {}],
  ['random', {}],
  ['round-robin', {}],
  ['power-of-two', {}],
  ['peak-ewma', {}],
  ['least-connections', {}],
  hash({ algorithm: 'rendezvous' }),
  hash({ algorithm: 'maglev' }),
  hash({ algorithm: 'ring' }),
  ['undici BalancedPool', {}],
]

await build({
  entry: { subjects: `${here}subjects.ts` },
  outDir: `${root}bench/.cache`,
  format: ['esm'],
  target: 'node20',
  config: false,
  silent: true,
})

function figuresOf(name, options, count) {
  // Room for what a round allocates: nothing is collected within it.
  const flags = ['--expose-gc', '--max-semi-space-size=512', '--min-semi-space-size=512']
  const given = JSON.stringify([name, options, count])
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, `${here}case.mjs`, given], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${name} with ${count} backends failed:\n${stderr}`)
  return JSON.parse(stdout)
}

const rows = []
for (const [name, options] of subjects) {
  const label = options.algorithm === undefined ? name : `${name}, ${options.algorithm}`
  process.stderr.write(`${label} …\n`)
  const figures = sizes.map((count) => figuresOf(name, options, count))
  rows.push({ label, figures })
}

const cell = (figure) =>
  figure === undefined ? '–' : figure < 10 ? figure.toFixed(1) : Math.round(figure).toLocaleString('en')
function table(title, of) {
  const head = [title, ...sizes.map((size) => size.toLocaleString('en'))]
  const body = rows.map(({ label, figures }) => [label, ...figures.map((figure) => cell(of(figure)))])
  return [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const text = [
  `Measured with \`npm run bench:picks\` on Node ${process.versions.node}, ${cpus()[0]?.model ?? 'an unknown CPU'}; medians of 7 rounds. The columns are`,
  'numbers of backends, all of equal weight and with 0 to 4 in flight.',
  '',
  table('the choice alone, ns', ({ choose }) => choose.ns),
  '',
  table('the choice alone, bytes allocated', ({ choose }) => choose.bytes),
  '',
  table('a whole pick with its decision, ns', ({ pick }) => pick?.ns),
  '',
  table('a whole pick with its decision, bytes allocated', ({ pick }) => pick?.bytes),
  '',
  table('after a change of the pool, µs', ({ rebuildUs }) => rebuildUs),
].join('\n')
console.log(text)

if (process.argv.includes('--write')) {
  const before = readFileSync(page, 'utf8')
  const marks = /(<!-- bench:picks -->\n)[\s\S]*?(\n<!-- \/bench:picks -->)/
  if (!marks.test(before)) throw new Error(`${page} has no marks for the figures`)
  writeFileSync(
    page,
    before.replace(marks, (_, open, close) => `${open}\n${text}\n${close}`),
  )
}
