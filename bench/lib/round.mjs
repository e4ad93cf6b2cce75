// One round: every peer in a fresh process, warmed up; then they take turns, a slice of requests each.
import { setTimeout as sleep } from 'node:timers/promises'
import { Contender } from './contender.mjs'

// The first some thousand requests run code that is not yet optimised, at several times the later cost.
const WARM_UP = 10_000
// Short enough that a slow spell of the machine falls on many slices of many peers, not on one peer.
const SLICE = 2000
// Log writes that wait for a timer end within it, and so are charged to the requests that they belong to.
const SETTLE_MS = 1200

function slicesOf(requests) {
  const full = Array(Math.floor(requests / SLICE)).fill(SLICE)
  return requests % SLICE === 0 ? full : [...full, requests % SLICE]
}

/** Resolves with the figures of each peer, in their order; what goes wrong with one is in its `errors`. */
export async function playRound(peers, setting) {
  const { requests } = setting.options
  const contenders = []
  try {
    for (const peer of peers) {
      const contender = new Contender(peer, setting)
      contenders.push(contender)
      await contender.warmUp(Math.min(WARM_UP, requests))
    }
    await sleep(SETTLE_MS)
    for (const contender of contenders) await contender.markStart()
    for (const [index, slice] of slicesOf(requests).entries()) {
      // Each stands in each place: two turns in a row would find their code and data still in the caches.
      const first = index % contenders.length
      for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) await contender.slice(slice)
    }
    await sleep(SETTLE_MS)
    for (const contender of contenders) await contender.markEnd()
  } finally {
    for (const contender of contenders) await contender.leave()
  }
  return contenders.map((contender) => contender.figures())
}
