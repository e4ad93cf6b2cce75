// The command line: which peers, how many rounds, requests and connections.
import { parseArgs } from 'node:util'

export class UsageError extends Error {}

export const help = `usage: npm run bench -- [peer ...] [options]

  peer             only these peers (default: all; see --list)
  --rounds N       rounds, each with a fresh process of every peer (default 3)
  --requests N     requests counted for each peer in a round (default 20000)
  --connections N  connections of the load generator (default 64)
  --json FILE      also write the figures, with those of each round, to FILE
  --list           the names of the peers
  --help           this text

Exit codes: 0 measured, 1 a peer failed or answered wrongly, 2 unusable arguments or machine.`

function positive(values, name) {
  const number = Number(values[name])
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new UsageError(`--${name} must be a whole number above 0, not '${values[name]}'`)
}

function parse(argv) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '3' },
        requests: { type: 'string', default: '20000' },
        connections: { type: 'string', default: '64' },
        json: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(error.message)
  }
}

export function parseOptions(argv, roster) {
  const { values, positionals } = parse(argv)
  const unknown = positionals.filter((name) => !roster.some((peer) => peer.name === name))
  if (unknown.length > 0) {
    const known = roster.map((peer) => peer.name).join(', ')
    throw new UsageError(`unknown peer: ${unknown.join(', ')} (known: ${known})`)
  }
  return {
    help: values.help,
    list: values.list,
    json: values.json,
    rounds: positive(values, 'rounds'),
    requests: positive(values, 'requests'),
    connections: positive(values, 'connections'),
    peers: positionals.length > 0 ? roster.filter((peer) => positionals.includes(peer.name)) : roster,
  }
}
