// The simulation as a command: plays every scenario under every strategy, prints the figures, and writes charts and page.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createBalancer, seededRandom } from '../../dist/index.js'
import { chart } from './chart.mjs'
import { simulate } from './engine.mjs'
import { series, summarise } from './measure.mjs'
import { fill, section, table } from './report.mjs'
import { roster, scenarios, seed } from './scenarios.mjs'

const help = `usage: npm run simulate -- [scenario ...] [options]

  scenario         only these (default: all)
  --strategy NAME  only this strategy; may be given several times (default: all but first)
  --seed N         another seed (default ${seed})
  --print          print the figures only; without it, a run of all scenarios writes docs/simulations.md and its charts
  --help           this text

Scenarios: ${scenarios.map(({ name }) => name).join(', ')}`

const docs = new URL('../../docs/', import.meta.url)
/** How many seconds one point of a chart stands for. */
const window = 0.5
const nameOf = (strategy) => strategy.name ?? strategy

function chosen() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      strategy: { type: 'string', multiple: true },
      seed: { type: 'string', default: String(seed) },
      print: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const known = (list, name) => list.find((one) => nameOf(one) === name) ?? fault(`there is no ${name}`)
  return {
    ...values,
    seed: /^\d{1,9}$/.test(values.seed) ? Number(values.seed) : fault('--seed must be a whole number'),
    strategies: values.strategy?.map((name) => known(roster, name)) ?? roster,
    scenarios: positionals.length === 0 ? scenarios : positionals.map((name) => known(scenarios, name)),
    all: positionals.length === 0,
  }
}

function fault(message) {
  throw new Error(message)
}

async function play(scenario, options) {
  const rows = []
  for (const strategy of options.strategies) {
    const { picks } = await simulate({ createBalancer, seededRandom }, { strategy, scenario, seed: options.seed })
    rows.push({
      name: nameOf(strategy),
      ...summarise(picks, scenario),
      series: series(picks, scenario, window),
    })
  }
  return rows
}

async function run(options) {
  const sections = []
  for (const scenario of options.scenarios) {
    const rows = await play(scenario, options)
    console.log(`${scenario.name}: ${scenario.about}\n\n${table(rows)}\n`)
    sections.push(section(scenario, rows))
    if (options.print || !options.all) continue
    mkdirSync(new URL('simulations/', docs), { recursive: true })
    writeFileSync(new URL(`simulations/${scenario.name}.svg`, docs), chart(scenario, rows))
  }
  if (options.print || !options.all) return
  const page = new URL('simulations.md', docs)
  const command = ['npm run simulate --', ...(options.strategy ?? []).map((name) => `--strategy ${name}`)]
  const made = `Made by \`${[...command, `--seed ${options.seed}`].join(' ')}\`.\n\n`
  writeFileSync(page, fill(readFileSync(page, 'utf8'), made + sections.join('\n')))
}

try {
  const options = chosen()
  if (options.help) console.log(help)
  else await run(options)
} catch (error) {
  console.error(`simulate: ${error.message}`)
  process.exitCode = 1
}
