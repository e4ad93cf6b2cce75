// A backend of the simulation: so many requests at a time, the rest waits its turn, and it can be slow, broken or stuck.

const ok = { result: 'ok', status: 200 }

/**
 * `slots` is how many requests it works on at once; the others wait first in, first out. `behaviour` may be changed while
 * it works, and holds for what begins from then on:
 *   slowness  its service times are so many times the drawn ones (default 1)
 *   outcome   how its requests end after that time, as a lease is told (default: ok with status 200)
 *   stuck     true: it answers nothing at all; the client's patience ends it
 */
export function createServer(clock, { slots, behaviour = {} }) {
  const waiting = []
  let head = 0
  let busy = 0

  function begin(job) {
    busy++
    const { slowness = 1, outcome = ok, stuck = false } = server.behaviour
    // One that is stuck works on it until the client has gone.
    const serviceUs = stuck ? job.patienceUs : Math.max(1, Math.round(job.serviceUs * slowness))
    clock.afterUs(serviceUs, () => {
      busy--
      if (!stuck) job.end(outcome)
      next()
    })
  }

  function next() {
    while (head < waiting.length) {
      const job = waiting[head++]
      if (head > 1000 && head * 2 > waiting.length) {
        waiting.splice(0, head)
        head = 0
      }
      // Nobody waits for it any more.
      if (job.isOver) continue
      begin(job)
      return
    }
  }

  const server = {
    behaviour,
    handle(job) {
      if (busy < slots) begin(job)
      else waiting.push(job)
    },
  }
  return server
}
