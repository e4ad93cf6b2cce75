// Waits for a condition without guessing how long it takes.
import { setImmediate } from 'node:timers/promises'

/** Resolves once `holds` returns true; the test's own timeout is the limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate()
}
