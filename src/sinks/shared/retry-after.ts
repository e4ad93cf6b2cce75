// `Retry-After` of a collector's answer (RFC 9110 section 10.2.3): seconds, or a date.

/** Longer pauses are not asked for by a collector in its right mind. */
const mostMs = 300_000

type Header = string | string[] | undefined

/**
 * In ms; 0 where nothing is asked for that can be understood. A date is compared with the answer's own `Date`, where there is
 * one: clocks differ.
 */
export function retryAfterMs(headers: Readonly<Record<string, Header>>, now: number): number {
  const value = single(headers['retry-after'])?.trim() ?? ''
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, mostMs)
  const at = dateOf(value)
  if (at === undefined) return 0
  return Math.min(Math.max(0, at - (dateOf(single(headers.date)) ?? now)), mostMs)
}

const single = (value: Header): string | undefined => (Array.isArray(value) ? value[0] : value)

// The preferred form of section 5.6.7, which is the only one that may be sent.
function dateOf(value: string | undefined): number | undefined {
  if (value === undefined || !/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(value))
    return undefined
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : at
}
