// A service that records every request in three sinks at once: some it hands to a backend, most it answers itself.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { nodeHandler } from '../../src/adapters/node.ts'
import { createBalancer } from '../../src/balancer.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { httpSink } from '../../src/sinks/http.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'

interface Given {
  readonly dir: string
  readonly collector: string
  readonly backend: string
  readonly secret: string
  readonly redact: object
}
const { dir, collector, backend, secret, redact } = JSON.parse(process.argv[2]!) as Given
const say = (text: string): void => void process.stderr.write(`${text}\n`)

const balancer = createBalancer({
  backends: [backend],
  affinity: { cookie: { secret } },
  headers: { request: [{ set: 'x-upstream-token', to: secret }] },
  health: { active: { path: `/?probe=${secret}`, headers: { authorization: `Bearer ${secret}` } } },
  audit: {
    redact,
    sinks: [
      fileSink({ dir, instance: 'one', maxBytes: 64 * 1024 ** 3 }),
      httpSink({ url: collector }),
      stdoutSink({ format: 'json' }),
    ],
  },
})
await balancer.ready()
const forward = nodeHandler(balancer)
const server = createServer((request, response) => {
  if (request.url?.startsWith('/hop') === true) return forward(request, response)
  balancer.port.observe(request, response)
  response.end('\u0001')
})
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1')
await once(server, 'listening')
say(`port ${(server.address() as AddressInfo).port}`)

const ops = balancer.as({ id: 'test', type: 'service' })
let changes = 0
process.stdin.setEncoding('utf8').on('data', async (asked: string) => {
  if (asked.startsWith('change')) {
    const own = `${secret}${changes++}`
    await ops.update({ affinity: { cookie: { secret: own } } }, { message: `for https://u:${secret}@x/` })
    await ops.addBackend({ url: `http://u:${secret}@127.0.0.1:1` }).catch(() => undefined)
    balancer.audit.record('access.denied', { rule: 'login', detail: `https://u:${secret}@x/` })
    say('changed')
    return
  }
  server.close()
  server.closeAllConnections()
  const { undelivered } = await balancer.close({ deadlineMs: 120_000 })
  say(`closed ${JSON.stringify(undelivered)}`)
  process.stdin.destroy()
})
