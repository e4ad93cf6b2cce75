// A strategy of your own: each user always goes to the same backend, as long as that one is eligible.
import { once } from 'node:events'
import { createBalancer, stdoutSink } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

/** FNV-1a: spreads names evenly enough for an example. */
function hash(text) {
  let h = 0x811c9dc5
  for (const char of text) h = Math.imul(h ^ char.codePointAt(0), 0x01000193) >>> 0
  return h
}

/** Rendezvous hashing: the backend whose hash with the user's name is highest. Who leaves takes only its own users along. */
const byUser = {
  name: 'by-user',
  pick(candidates, draft) {
    const user = String(draft.request.headers?.['x-user'] ?? draft.request.client?.address ?? '')
    let best
    let most = -1
    for (const candidate of candidates) {
      // One that an earlier attempt of the same request has tried is not taken again.
      if (!draft.admits(candidate)) continue
      const score = hash(`${candidate.config.id} ${user}`)
      if (score > most) {
        best = candidate
        most = score
      }
    }
    return best
  },
}

const balancer = createBalancer({
  backends: await startBackends('b1', 'b2', 'b3'),
  strategy: byUser,
  audit: { sinks: [stdoutSink()] },
})

const server = createServer(balancer).listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
console.log(
  `listening on http://127.0.0.1:${server.address().port}; try: curl -H 'x-user: ann' http://127.0.0.1:${server.address().port}`,
)

process.on('SIGTERM', async () => {
  server.close()
  await balancer.close()
})
