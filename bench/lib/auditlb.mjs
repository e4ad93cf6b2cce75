// auditlb from the built package, as its peers use it: the same balancer with other sinks, or another transport.
import { createBalancer } from '../../dist/index.js'
import { createServer } from '../../dist/node.js'
import { backends, listen } from './peer.mjs'

export function listenWith(sinks, options = {}) {
  const balancer = createBalancer({ name: 'bench', backends, strategy: 'round-robin', audit: { sinks }, ...options })
  listen(createServer(balancer), () => balancer.close({ deadlineMs: 5000 }))
}
