// The time by which what is kept grows old.
import type { Clock } from '../clock.ts'
import type { Segment } from './segments.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Tells the wall time of this call, and what has passed since: a step of the clock does not move it. */
export function steadyTime(clock: Clock): () => number {
  const epochMs = clock.now() - clock.monoUs() / 1000
  return () => epochMs + clock.monoUs() / 1000
}

/**
 * From when on the age of what is there at a start counts: these segments. The wall clock is all that a start has. Where that tells of
 * more than a day without a line it may just be wrong, as before a time server is heard: it gets an hour.
 */
export function agesCountFrom(segments: readonly Segment[], now: number): number {
  const written = segments.filter(({ bytes }) => bytes > 0)
  const newest = written.reduce((latest, { at }) => Math.max(latest, at), -Infinity)
  return written.length > 0 && now - newest > dayMs ? now + hourMs : now
}
