// One strategy with one number of backends, in a process of its own: prints its figures as JSON.
import { BalancedPool } from 'undici'
import { createStrategy, PickDraft, Router, strategySchema, systemClock, systemRandom } from '../.cache/subjects.js'

const [name, options, count] = JSON.parse(process.argv[2])
const rounds = 7

/** The median time of one call and the least that one allocates, over rounds that last about 20 ms each. */
function measure(act) {
  for (let i = 0; i < 20_000; i++) act(i)
  let calls = 1000
  while (timeOf(act, calls) < 20e6 && calls < 4e6) calls *= 2
  const ns = []
  const bytes = []
  for (let round = 0; round < rounds; round++) {
    globalThis.gc()
    const before = process.memoryUsage().heapUsed
    ns.push(timeOf(act, calls) / calls)
    bytes.push((process.memoryUsage().heapUsed - before) / calls)
  }
  const middle = Math.floor(rounds / 2)
  return { ns: ns.sort((a, b) => a - b)[middle], bytes: Math.max(0, bytes.sort((a, b) => a - b)[middle]) }
}

function timeOf(act, calls) {
  const start = process.hrtime.bigint()
  for (let i = 0; i < calls; i++) act(i)
  return Number(process.hrtime.bigint() - start)
}

// Callers differ in what they ask for, but making a request is no part of a pick.
const requests = Array.from({ length: 1024 }, (_, i) => ({ headers: { 'x-user': `user-${i * 7919}` } }))

function ours() {
  const backends = Array.from({ length: count }, (_, i) =>
    Object.freeze({ id: `b${i}`, url: `http://b${i}`, address: `b${i}`, port: 80, weight: 1, priority: 0 }),
  )
  const tools = { clock: systemClock, random: systemRandom }
  const choice = strategySchema.parse({ name, ...options })
  const strategies = []
  const create = () => {
    const strategy = createStrategy(choice, tools)
    strategies.push(strategy)
    return strategy
  }
  const router = new Router(
    { locality: { overprovisionPercent: 140 }, traceRate: 0 },
    { name, create, options: undefined },
    { ...tools, onFault: console.error, onPanic: () => undefined, onCapacity: () => undefined },
  )
  router.sync(backends)
  router.pool.states.forEach((state, i) => {
    state.inFlight = (i * 7) % 5
  })
  for (const state of router.pool.states) router.release({ ...state }, { failed: false, latencyUs: 1000 })
  router.pick(requests[0], [])
  const { candidates } = router.pool.snapshot.parts[0].tiers[0]
  const [strategy] = strategies
  const draft = new PickDraft(systemRandom)
  const chosen = measure((i) => {
    draft.begin(requests[i & 1023], nobody, false)
    strategy.pick(candidates, draft)
  })
  const whole = measure((i) => router.pick(requests[i & 1023], nobody))
  const fresh = [candidates, [...candidates]]
  const start = process.hrtime.bigint()
  const rebuilds = count > 1000 ? 5 : 20
  for (let i = 0; i < rebuilds; i++) {
    // A weight is changed, so that no table can be used again.
    candidates[0].weight = 1000 * (1 + (i % 2))
    strategy.rebuild?.(fresh[i % 2])
  }
  const rebuildUs = Number(process.hrtime.bigint() - start) / 1000 / rebuilds
  return { choose: chosen, pick: whole, rebuildUs }
}
const nobody = []

// The selection is behind a symbol: what `dispatch` calls before it sends.
async function balancedPool() {
  const start = process.hrtime.bigint()
  const pool = new BalancedPool(Array.from({ length: count }, (_, i) => `http://127.0.0.1:${10_000 + i}`))
  const buildUs = Number(process.hrtime.bigint() - start) / 1000
  const select = Object.getOwnPropertySymbols(BalancedPool.prototype).find(
    (one) => one.description === 'get dispatcher',
  )
  const choose = measure(() => pool[select]())
  await pool.destroy()
  return { choose, rebuildUs: buildUs }
}

const figures = name === 'undici BalancedPool' ? await balancedPool() : ours()
console.log(JSON.stringify(figures))
