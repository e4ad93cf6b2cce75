// A balancer in a process of its own, before the backends that it is told of; it says how much memory it takes.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from '../../src/adapters/node.ts'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'

const balancer = createBalancer({ audit: { sinks: [] }, ...(JSON.parse(process.argv[2]!) as BalancerOptions) })
const server = createServer(balancer).listen(0, '127.0.0.1')
await once(server, 'listening')

let peak = 0
setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss())
}, 10)
// Each line of input asks for the most memory since the last one.
process.stdin.setEncoding('utf8').on('data', (asked: string) => {
  process.stdout.write(`${asked.trim()} ${Math.max(peak, process.memoryUsage.rss())}\n`)
  peak = 0
})
process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`)
