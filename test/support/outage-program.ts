// Records 1,000 events in each second of a clock that it moves itself, on a real disk and to a real collector, and says what memory that
// takes: for a test that takes the collector away.
import { setImmediate, setTimeout } from 'node:timers/promises'
import { createAudit } from '../../src/audit/create.ts'
import { argv, stdin, stdout } from '../../src/runtime.ts'
import { logNames } from '../../src/sink.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { httpSink } from '../../src/sinks/http.ts'
import { fakeClock } from './fake-clock.ts'

const [dir = '', url = ''] = argv()
const clock = fakeClock()
const store = fileSink({ dir, instance: 'a' })
const audit = createAudit({ service: 'shop', sinks: [store, httpSink({ url })], clock })
const last = { traffic: -1, security: -1, control: -1 }
audit.on('app.order', (event) => {
  last.traffic = event.audit.index!
})
const cursor = () => store.source.cursor('http', 'now')
const waiting = async (): Promise<number> => {
  const at = await cursor()
  return logNames.reduce((sum, log) => sum + store.source.bounds(log).end - at.next(log), 0)
}

let n = 0
const text = 'x'.repeat(500)
function emit(count: number): void {
  for (let i = 0; i < count; i++, n++) {
    audit.record('app.order', { n, text })
    if (n % 100 === 0) audit.record('access.denied', { rule: 'login', detail: String(n) })
  }
}

const rss = { baseline: 0, peak: 0, floor: 0 }
function sample(): void {
  rss.peak = Math.max(rss.peak, process.memoryUsage.rss())
}
function sampleFloor(): void {
  gc!()
  rss.floor = Math.max(rss.floor, process.memoryUsage.rss())
}

/** So many seconds, faster than they pass: as fast as the disk takes their lines, and while the collector is there, as it does. */
async function run(seconds: number, collected: boolean): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    for (let step = 0; step < 20; step++) {
      emit(50)
      clock.advance(50)
      await setImmediate()
    }
    await store.durable('traffic', last.traffic)
    while (collected && (await waiting()) > 1000) await pass(10)
    sample()
    if (second % 20 === 0) sampleFloor()
  }
}

/** Time passes, so many times as fast as it does. */
async function pass(ms: number, speed = 1): Promise<void> {
  await setTimeout(ms)
  clock.advance(ms * speed)
}

/** Time passes until this is done. */
async function passing<T>(doing: Promise<T>): Promise<T> {
  const timer = setInterval(() => clock.advance(10), 10)
  try {
    return await doing
  } finally {
    clearInterval(timer)
  }
}

const orders: Record<string, (seconds: number) => Promise<void>> = {
  /** With the collector there. What is left behind is what such a process takes. */
  async warm(seconds) {
    await run(seconds, true)
    gc!()
    rss.baseline = process.memoryUsage.rss()
  },
  outage: (seconds) => run(seconds, false),
  /** Until all is delivered but what has just come; as fast as time passes from the first delivery on. */
  async recover() {
    const at = await cursor()
    const stood = at.next('traffic')
    while ((await waiting()) > 1000) {
      const speed = at.next('traffic') === stood ? 10 : 1
      emit(10 * speed)
      await pass(10, speed)
      sample()
    }
    sampleFloor()
  },
  async close() {
    const { undelivered } = await passing(audit.close())
    stdout.write(`closed ${JSON.stringify({ n, undelivered, rss })}\n`)
    process.exit()
  },
}
await passing(audit.ready())
stdout.write('ready\n')
stdin()
  .setEncoding('utf8')
  .on('data', async (text: string) => {
    const [order = '', seconds] = text.trim().split(' ')
    await orders[order]!(Number(seconds))
    stdout.write(`${order} over, ${await waiting()} wait\n`)
  })
