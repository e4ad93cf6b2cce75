// A witness in a process of its own, to be killed.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, createWitness } from '../../src/witness/index.ts'

const [dir = '', token = '', port = '0'] = process.argv.slice(2)
const witness = createWitness({ dir, tokens: [token], segment: { maxBytes: 65_536 }, limits: { openLogs: 2 } })
await witness.ready()
const server = createServer(witness).listen(Number(port), '127.0.0.1')
await once(server, 'listening')
console.log(`listening ${(server.address() as AddressInfo).port}`)
