// TLS on both sides: HTTPS to clients, and HTTPS with client certificates (mTLS) to backends that an authority of one's own has
// signed. Where a certificate does not verify, the backend gets nothing of the request: another one is tried.
import { once } from 'node:events'
import { createServer as createTlsServer, request as httpsRequest } from 'node:https'
import { createBalancer } from 'auditlb'
import { createServer } from 'auditlb/node'
import { makeAuthority } from './certificates.mjs'

const [ours, theirs] = [makeAuthority(), makeAuthority()]

/** A backend that serves nobody but who shows a certificate of our authority. */
async function startBackend(id, certificate) {
  const options = { ...certificate, ca: ours.ca, requestCert: true, rejectUnauthorized: true }
  const server = createTlsServer(options, (_request, response) => response.end(id))
  await once(server.listen(0, '127.0.0.1').unref(), 'listening')
  // The certificate holds a name, the URL an address.
  return { id, url: `https://127.0.0.1:${server.address().port}`, serverName: 'backend.internal' }
}

const balancer = createBalancer({
  name: 'edge',
  backends: [
    await startBackend('good', ours.issue('DNS:backend.internal')),
    await startBackend('stranger', theirs.issue('DNS:backend.internal')),
    await startBackend('misnamed', ours.issue('DNS:elsewhere.internal')),
  ],
  strategy: 'round-robin',
  // Whom to trust, and what to show of ourselves.
  tls: { ca: ours.ca, ...ours.issue('DNS:edge.internal') },
  audit: { sinks: [] },
})
balancer.audit.on('request.completed', ({ lb, tls }) => {
  const ways = lb.attempts.map(({ backend, result, detail }) => `${backend} ${result} ${detail ?? ''}`.trim())
  console.log(`TLS ${tls.protocol.version}: ${ways.join(', then ')}`)
})

const server = createServer(balancer, { tls: ours.issue('DNS:localhost,IP:127.0.0.1') }).listen(0, '127.0.0.1')
await once(server, 'listening')

for (let i = 0; i < 3; i++) {
  const request = httpsRequest({ port: server.address().port, host: '127.0.0.1', ca: ours.ca, agent: false })
  const [response] = await once(request.end(), 'response')
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  console.log(`${response.statusCode} from ${body}`)
}

server.close()
await balancer.close()
