// What every line says of itself, and whether that fits its place.

/** An event as it was written: one JSON object. */
export type LoggedEvent = { readonly [key: string]: unknown }

const isObject = (value: unknown): value is LoggedEvent =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The event of a line; undefined if it is not a JSON object. */
export function parseLine(line: string): LoggedEvent | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** A member at a path of keys; undefined where there is none. */
export function member(event: LoggedEvent, ...keys: string[]): unknown {
  let value: unknown = event
  for (const key of keys) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return value
}

/** What is wrong with the event of a line at this place of this log; undefined if nothing is. An origin that is not known is not compared. */
export function placeFault(
  event: LoggedEvent | undefined,
  origin: string | undefined,
  index: number,
): string | undefined {
  if (event === undefined) return 'it is not a JSON object'
  const [foundOrigin, foundIndex] = [member(event, 'audit', 'origin'), member(event, 'audit', 'index')]
  if (foundIndex !== index) return `audit.index is ${JSON.stringify(foundIndex)}, expected ${index}`
  if (origin !== undefined && foundOrigin !== origin) {
    return `audit.origin is ${JSON.stringify(foundOrigin)}, expected ${JSON.stringify(origin)}`
  }
  return undefined
}
