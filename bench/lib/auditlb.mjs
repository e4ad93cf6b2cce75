// auditlb from the built package, as its three peers use it: the same balancer with other sinks.
import { createBalancer } from '../../dist/index.js'
import { createServer } from '../../dist/node.js'
import { backends, listen } from './peer.mjs'

export function listenWith(sinks) {
  const balancer = createBalancer({ name: 'bench', backends, strategy: 'round-robin', audit: { sinks } })
  listen(createServer(balancer), () => balancer.close({ deadlineMs: 5000 }))
}
