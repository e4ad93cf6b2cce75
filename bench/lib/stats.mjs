// Medians and quantiles.

/** The nearest-rank quantile of sorted numbers; undefined of none. */
export const quantile = (sorted, part) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)]

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}
