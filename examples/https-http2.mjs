// A balancer that speaks HTTPS: HTTP/2 to clients that know it, HTTP/1.1 to others. Key and certificate come from the files that
// TLS_KEY and TLS_CERT name; without them `openssl` makes a pair for this run.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBalancer, fileSink } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

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
  const dir = mkdtempSync(join(tmpdir(), 'certificate-'))
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
  execFileSync('openssl', ['req', '-x509', ...kind, '-subj', '/CN=localhost', '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const pair = { key: readFileSync(key), cert: readFileSync(cert) }
  rmSync(dir, { recursive: true })
  return pair
}
