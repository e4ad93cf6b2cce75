// The benchmark: measures what one proxied request costs in ours and in its peers, and prints a table.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { message, start, stop } from './lib/child.mjs'
import { installPeers } from './lib/install.mjs'
import { shareCores } from './lib/machine.mjs'
import { help, parseOptions, UsageError } from './lib/options.mjs'
import { roster } from './lib/roster.mjs'
import { playRound } from './lib/round.mjs'
import { summarise, table } from './lib/table.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

function report(round, rounds, name, { cpuUs, errors }) {
  const faults = Object.keys(errors)
  const cost = cpuUs === undefined ? '' : `  ${cpuUs.toFixed(1)} µs/request`
  console.error(`round ${round}/${rounds}  ${name}${cost}${faults.length > 0 ? `  ${faults.join(', ')}` : ''}`)
}

async function play(options, cores, folder) {
  const load = start(join(here, 'lib/load.mjs'), cores.load)
  const servers = start(join(here, 'lib/backends.mjs'), cores.load)
  try {
    const [backends] = await Promise.all([message(servers), message(load)])
    const results = options.peers.map((peer) => ({ peer, missing: peer.missing?.(), rounds: [] }))
    const present = results.filter(({ missing }) => missing === undefined)
    const peers = present.map(({ peer }) => peer)
    for (let round = 1; round <= options.rounds; round++) {
      const figures = await playRound(peers, { load, backends, cores, folder, options })
      for (const [index, { peer, rounds }] of present.entries()) {
        rounds.push(figures[index])
        report(round, options.rounds, peer.name, figures[index])
      }
    }
    return summarise(results)
  } finally {
    await Promise.all([stop(load), stop(servers)])
  }
}

function writeJson(file, options, cores, rows) {
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: availableParallelism(), pinned: cores }
  const { rounds, requests, connections } = options
  writeFileSync(file, `${JSON.stringify({ machine, rounds, requests, connections, peers: rows }, null, 2)}\n`)
}

async function measure(options) {
  const cores = shareCores()
  if (cores.proxy === undefined) console.error('no taskset or a single core: nothing is pinned')
  installPeers()
  const folder = mkdtempSync(join(tmpdir(), 'auditlb-bench-'))
  const tidy = () => rmSync(folder, { recursive: true, force: true })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
      tidy()
      process.exit(1)
    })
  }
  try {
    const rows = await play(options, cores, folder)
    console.log(table(rows))
    if (options.json !== undefined) writeJson(options.json, options, cores, rows)
    if (rows.some((row) => Object.keys(row.errors).length > 0)) process.exitCode = 1
  } finally {
    tidy()
  }
}

try {
  const options = parseOptions(process.argv.slice(2), roster)
  if (options.help) console.log(help)
  else if (options.list) for (const { name, about } of roster) console.log(`${name.padEnd(24)}${about}`)
  else await measure(options)
} catch (error) {
  console.error(`bench: ${error.message}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
