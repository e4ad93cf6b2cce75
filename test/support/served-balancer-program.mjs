// A balancer of the built package in a process of its own, by the options that it is given as JSON: it prints its port.
import { once } from 'node:events'
import { createBalancer, fileSink } from 'auditlb'
import { createServer } from 'auditlb/node'

const { backend, dir, durability, whenUnavailable } = JSON.parse(process.argv[2])
const sinks = [fileSink({ dir, instance: 'a', durability })]
const balancer = createBalancer({ name: 'served', backends: [backend], audit: { sinks, whenUnavailable } })
await balancer.ready()
const server = createServer(balancer).listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`listening ${server.address().port}\n`)
await once(process.stdin, 'data')
server.close()
server.closeAllConnections()
await balancer.close()
process.exit()
