// Asks one TLS backend under several names, and prints each answer: for tests that must set what a process trusts.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from '../../src/adapters/node.ts'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { argv, stdout } from '../../src/runtime.ts'

const [port = '', nameServer = ''] = argv()
const url = `https://127.0.0.1:${port}`
const cases: readonly Pick<BalancerOptions, 'backends' | 'discovery'>[] = [
  { backends: [url] },
  { backends: [{ url, serverName: 'shop.test' }] },
  { backends: [{ url, serverName: 'other.test' }] },
  {
    backends: [],
    discovery: {
      type: 'dns',
      name: 'shop.test',
      record: 'A',
      protocol: 'https',
      port: Number(port),
      servers: [nameServer],
    },
  },
]

async function ask(options: Pick<BalancerOptions, 'backends' | 'discovery'>) {
  const balancer = createBalancer({ ...options, host: 'backend' })
  const ops = balancer.as({ id: 't', type: 'user' })
  const probed = new Promise<string>((resolve) => {
    balancer.audit.on('backend.health_changed', ({ backend }) => resolve(backend.last_error ?? backend.to))
  })
  await balancer.ready()
  const { id } = balancer.snapshot().backends[0]!
  const server = createServer(balancer).listen(0, '127.0.0.1')
  const completed = new Promise<string>((resolve) => {
    balancer.audit.on('request.completed', ({ lb }) => resolve(lb.detail ?? lb.result))
  })
  await once(server, 'listening')
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const answer = [response.status, await completed, response.status === 200 ? await response.text() : '']
  await ops.update({ health: { active: { intervalMs: 10, fall: 1 } } })
  answer.push(await probed)
  if (response.status === 200 && options.discovery === undefined) {
    // The same URL by another name: no connection that was verified by the old one is used for it.
    await ops.update({ backends: [{ id, url, serverName: 'other.test' }], health: {}, retry: { retries: 0 } })
    const again = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    answer.push(again.status)
  }
  server.closeAllConnections()
  server.close()
  await balancer.close({ deadlineMs: 0 })
  stdout.write(`${JSON.stringify(answer)}\n`)
}

for (const options of cases) await ask(options)
