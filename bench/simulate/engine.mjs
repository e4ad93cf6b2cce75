// The simulation of one scenario under one strategy: requests that come at random meet the real balancer in virtual time.
import { gapUs, serviceUs } from './chance.mjs'
import { virtualClock } from './clock.mjs'
import { createServer } from './server.mjs'

/** Sources of chance, told apart by what they are added to the seed. */
const streams = { balancer: 0, arrivals: 1, services: 2, keys: 3 }

/**
 * Plays a scenario to its end. `library` is { createBalancer, seededRandom }. The arrivals are open-loop: they do not wait
 * for anybody's answer. The same seed gives every strategy the same arrivals, service times and keys.
 */
export async function simulate(library, { strategy, scenario, seed }) {
  const random = (stream) => library.seededRandom(Math.imul(seed, 16) + streams[stream])
  const clock = virtualClock()
  const servers = new Map()
  const address = (id) => ({ id, url: `http://${id}`, weight: scenario.weights?.[id] ?? 1 })
  const put = (id, behaviour) => servers.set(id, createServer(clock, { slots: scenario.slots, behaviour }))
  for (const id of scenario.backends) put(id, scenario.behaviours?.[id])
  const balancer = library.createBalancer({
    name: 'simulation',
    backends: scenario.backends.map(address),
    strategy,
    clock,
    random: random('balancer'),
    audit: { sinks: [] },
    ...scenario.options,
  })
  const health = []
  balancer.audit.on('backend.health_changed', ({ backend: { id, from, to, cause } }) => {
    health.push({ atUs: clock.monoUs(), backend: id, from, to, cause })
  })
  await balancer.ready()

  const picks = []
  startArrivals({ balancer, clock, scenario, random, servers, picks })
  const operator = balancer.as({ type: 'system', id: 'simulation' })
  const control = {
    add: async (id, behaviour) => {
      put(id, behaviour)
      await operator.addBackend(address(id))
    },
    drain: (id) => operator.drain(id),
    remove: (id) => operator.remove(id),
    set: (id, behaviour) => {
      servers.get(id).behaviour = behaviour
    },
  }
  for (const { at, act } of scenario.steps ?? []) {
    clock.runUntil(at * 1_000_000)
    await act(control)
  }
  clock.runUntil(scenario.seconds * 1_000_000)
  // Everything has ended once the patience of the last client is over.
  clock.runUntil((scenario.seconds + scenario.patienceMs / 1000) * 1_000_000)
  const closed = balancer.close({ deadlineMs: 1 })
  clock.runUntil((scenario.seconds + scenario.patienceMs / 1000 + 60) * 1_000_000)
  await closed
  return { picks, health }
}

function startArrivals({ balancer, clock, scenario, random, servers, picks }) {
  const { patienceMs, ratePerSecond, seconds } = scenario
  const sources = { arrivals: random('arrivals'), services: random('services'), keys: random('keys') }
  const patienceUs = patienceMs * 1000

  function arrive() {
    const atUs = clock.monoUs()
    const drawnUs = serviceUs(sources.services, scenario)
    const { backend, decision, done } = balancer.pick({ method: 'GET', path: `/${sources.keys.uint32()}` })
    const record = { atUs, backend: backend?.id, reason: decision.reason, latencyUs: 0, failed: true }
    picks.push(record)
    const gap = gapUs(sources.arrivals, ratePerSecond)
    if (atUs + gap < seconds * 1_000_000) clock.afterUs(gap, arrive)
    if (backend === undefined) return
    const job = {
      serviceUs: drawnUs,
      patienceUs,
      isOver: false,
      end(outcome) {
        if (job.isOver) return
        job.isOver = true
        timer.cancel()
        record.latencyUs = clock.monoUs() - atUs
        record.failed = outcome.status !== 200
        done({ ...outcome, latencyUs: record.latencyUs })
      },
    }
    const timer = clock.afterUs(patienceUs, () => job.end({ result: 'header-timeout' }))
    servers.get(backend.id).handle(job)
  }
  clock.afterUs(gapUs(sources.arrivals, ratePerSecond), arrive)
}
