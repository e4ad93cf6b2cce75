// One proxied request through the built package, imported and required: run under each version of Node that is supported.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

async function exercise(kind, { createBalancer, fileSink, verifyLog }, { createServer }) {
  const dir = mkdtempSync(join(tmpdir(), 'auditlb-exercise-'))
  const backend = http
    .createServer((request, response) => response.end(`you asked for ${request.url}`))
    .listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const balancer = createBalancer({
    name: 'exercise',
    backends: [`http://127.0.0.1:${backend.address().port}`],
    audit: { sinks: [fileSink({ dir })] },
  })
  await balancer.ready()
  const server = createServer(balancer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const response = await fetch(`http://127.0.0.1:${server.address().port}/it`)
  const text = await response.text()
  for (const each of [server, backend]) {
    each.close()
    each.closeAllConnections()
  }
  const { undelivered } = await balancer.close()
  const report = await verifyLog(dir)
  rmSync(dir, { recursive: true, force: true })
  const traffic = report.instances[0].logs.find(({ log }) => log === 'traffic')
  const holds =
    response.status === 200 &&
    text === 'you asked for /it' &&
    report.ok &&
    traffic.signed === 1 &&
    Object.keys(undelivered).length === 0
  console.log(`Node ${process.version}, by ${kind}: ${holds ? 'holds' : 'does not hold'}`)
  if (!holds) process.exitCode = 1
}

const require = createRequire(import.meta.url)
await exercise('import', await import('auditlb'), await import('auditlb/node'))
await exercise('require', require('auditlb'), require('auditlb/node'))
