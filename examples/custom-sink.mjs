// A sink of your own: it gets the lines that it asks for in batches, and says by resolving that it has them.
import { createBalancer, formats } from 'auditlb'
import { startBackends } from './backends.mjs'

let tries = 0
// Formats are functions of a batch, for any sink: this one tells events in the words of OCSF.
const ocsf = formats.json({ map: 'ocsf' })

/** Keeps events in memory. The first write fails, as a collector may: the same lines come again. */
const memorySink = {
  name: 'memory',
  feed: { lines: 100, intervalMs: 20 },
  // What is kept from it by its filter counts as delivered. A function is asked for each line, parsed.
  filter: { events: ['route.*', 'balancer.*'] },
  events: [],
  async write(batch) {
    const what = `lines ${batch.first} to ${batch.last} of ${batch.origin.split('/')[2]}`
    if (++tries === 1) {
      console.log(`not accepted: ${what}`)
      throw Object.assign(new Error('not now'), { retryAfterMs: 50 })
    }
    console.log(`accepted: ${what}, ${batch.lines.length} of them`)
    this.events.push(...JSON.parse(ocsf(batch).body))
  },
  // Signed statements of how long a log is: whoever keeps them can prove later that no line was changed.
  async checkpoint({ origin, size }) {
    console.log(`checkpoint: ${size} lines of ${origin.split('/')[2]}`)
  },
  async close() {
    console.log(`closed with ${this.events.length} events`)
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
const picks = memorySink.events.filter(({ metadata }) => metadata.event_code === 'route.picked')
const names = new Set(memorySink.events.map(({ metadata }) => metadata.event_code))
console.log(`${picks.length} picks recorded, undelivered: ${JSON.stringify(undelivered)}`)
console.log(`kinds of events: ${[...names].sort().join(', ')}`)
