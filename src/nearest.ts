// Which known name a misspelt one was meant to be.

/** How many letters must be added, left out, replaced, or swapped with the next, to make one text of the other. */
export function edits(from: string, to: string): number {
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, j) => j)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1]
      let least = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      if (swapped) least = Math.min(least, before[j - 2]! + 1)
      next.push(least)
    }
    before = row
    row = next
  }
  return row[to.length]!
}

/** The one of these names that is the fewest edits away, the first of them if there are several. */
export function nearest(name: string, names: readonly string[]): string {
  const [first = '', ...rest] = names
  return rest.reduce((best, one) => (edits(name, one) < edits(name, best) ? one : best), first)
}
