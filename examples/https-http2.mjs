// A balancer that speaks HTTPS: HTTP/2 to clients that know it, HTTP/1.1 to others. Key and certificate come from the files that
// TLS_KEY and TLS_CERT name; without them a pair is made for this run.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createBalancer, fileSink } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'
import { makeAuthority } from './certificates.mjs'

const balancer = createBalancer({
  name: 'edge',
  backends: await startBackends('b1', 'b2'),
  strategy: 'round-robin',
  audit: { sinks: [fileSink({ dir: process.env.AUDIT_DIR ?? './audit' })] },
})
await balancer.ready()

const server = createServer(balancer, { http2: true, tls: keyAndCertificate() })
server.listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
console.log(`listening on https://127.0.0.1:${server.address().port}`)

process.on('SIGTERM', async () => {
  server.close()
  await balancer.close()
})

function keyAndCertificate() {
  const { TLS_KEY, TLS_CERT } = process.env
  if (TLS_KEY && TLS_CERT) return { key: readFileSync(TLS_KEY), cert: readFileSync(TLS_CERT) }
  return makeAuthority().issue('DNS:localhost,IP:127.0.0.1')
}
