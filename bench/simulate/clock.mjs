// Virtual time: a clock as the library takes it, moved on by a queue of what is due (a binary heap, first come first).

/** 2026-01-01T00:00:00.000Z, so that every run has the same times in its events. */
const startMs = Date.UTC(2026, 0, 1)

export function virtualClock() {
  const heap = []
  let nowUs = 0
  let made = 0

  const isBefore = (a, b) => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)

  function push(entry) {
    let i = heap.push(entry) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isBefore(entry, heap[parent])) break
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = entry
  }

  function pop() {
    const top = heap[0]
    const last = heap.pop()
    if (heap.length === 0) return top
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (!isBefore(heap[child], last)) break
      heap[i] = heap[child]
      i = child
    }
    heap[i] = last
    return top
  }

  function at(atUs, fn) {
    const entry = { atUs: Math.max(nowUs, Math.round(atUs)), order: made++, fn }
    push(entry)
    return {
      cancel() {
        entry.fn = undefined
      },
    }
  }

  return {
    now: () => startMs + Math.floor(nowUs / 1000),
    monoUs: () => nowUs,
    after: (ms, fn) => at(nowUs + ms * 1000, fn),
    /** As `after`, in whole µs from now. */
    afterUs: (us, fn) => at(nowUs + us, fn),
    /** Calls all that comes due until then, in order, and stands there. */
    runUntil(untilUs) {
      while (heap.length > 0 && heap[0].atUs <= untilUs) {
        const { atUs, fn } = pop()
        nowUs = atUs
        fn?.()
      }
      nowUs = Math.max(nowUs, untilUs)
    },
  }
}
