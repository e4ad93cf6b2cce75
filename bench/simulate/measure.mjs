// Figures of a run: shares of the picks, how long the answers took, and what failed.

/** The value that the part `p` of them does not exceed (nearest rank); undefined of none. `sorted` is in order. */
export const percentile = (sorted, p) => sorted[Math.max(0, Math.ceil(sorted.length * p) - 1)]

const within = (picks, from, to) => picks.filter(({ atUs }) => atUs >= from * 1e6 && atUs < to * 1e6)
const share = (picks, isIn) => (picks.length === 0 ? 0 : picks.filter(isIn).length / picks.length)
const answered = (picks) =>
  Float64Array.from(picks.filter(({ failed }) => !failed).map(({ latencyUs }) => latencyUs)).sort()

/** Latencies are those of the answers that succeeded, in ms. */
export function summarise(picks, { watched, from, to, seconds }) {
  const during = within(picks, from, to)
  const counts = new Map()
  for (const { backend } of during) if (!watched(backend)) counts.set(backend, (counts.get(backend) ?? 0) + 1)
  const others = [...counts.values()].map((count) => count / during.length)
  const sorted = answered(during)
  const ms = (p) => (percentile(sorted, p) ?? 0) / 1000
  return {
    share: share(during, ({ backend }) => watched(backend)),
    after: share(within(picks, to, seconds), ({ backend }) => watched(backend)),
    least: Math.min(...others),
    most: Math.max(...others),
    p50: ms(0.5),
    p99: ms(0.99),
    p999: ms(0.999),
    failed: share(during, ({ failed }) => failed),
  }
}

/** The same over time: one point for each window of so many seconds. */
export function series(picks, { watched, seconds }, window) {
  return Array.from({ length: Math.floor(seconds / window) }, (_, i) => {
    const part = within(picks, i * window, (i + 1) * window)
    return {
      time: (i + 0.5) * window,
      share: share(part, ({ backend }) => watched(backend)),
      p99: (percentile(answered(part), 0.99) ?? 0) / 1000,
      failed: share(part, ({ failed }) => failed),
    }
  })
}
