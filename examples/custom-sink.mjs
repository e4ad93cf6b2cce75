// A sink of your own: it gets every line in batches, and says by resolving that it has them.
import { createBalancer } from 'auditlb'
import { startBackends } from './backends.mjs'

let tries = 0

/** Keeps lines in memory. The first write fails, as a collector may: the same batch comes again. */
const memorySink = {
  name: 'memory',
  feed: { lines: 100, intervalMs: 20 },
  lines: [],
  async write(batch) {
    const what = `lines ${batch.first} to ${batch.last} of ${batch.origin.split('/')[2]}`
    if (++tries === 1) {
      console.log(`not accepted: ${what}`)
      throw Object.assign(new Error('not now'), { retryAfterMs: 50 })
    }
    console.log(`accepted: ${what}, ${batch.bytes} bytes`)
    this.lines.push(...batch.lines)
  },
  async close() {
    console.log(`closed with ${this.lines.length} lines`)
  },
}

const quiet = { warn: () => undefined, error: () => undefined }
const balancer = createBalancer({
  backends: await startBackends('b1', 'b2'),
  audit: { sinks: [memorySink], logger: quiet },
})

// Listeners hear each event at once; a sink gets its line a little later, and until it has accepted it.
balancer.audit.on('route.picked', ({ lb }) => console.log(`heard: ${lb.decision.backend}, ${lb.decision.reason}`))

for (let i = 0; i < 10; i++) balancer.pick({ path: `/jobs/${i}` }).done({ result: 'ok' })

// Delivers what waits before it resolves.
const { undelivered } = await balancer.close()
const picks = memorySink.lines.map((line) => JSON.parse(line)).filter(({ event_name: name }) => name === 'route.picked')
console.log(`${picks.length} picks recorded, undelivered: ${JSON.stringify(undelivered)}`)
