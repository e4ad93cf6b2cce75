// How probes connect in tests of their own parts.
import { systemClock } from '../../src/clock.ts'
import type { Dial } from '../../src/transport.ts'
import { dial } from '../../src/transports/dial.ts'

/** By the system's clock, whatever clock the part that is tested has. */
export const dialling: Dial = (backend, settle) =>
  dial(backend, { clock: systemClock, connectMs: 600_000, protocols: ['http/1.1'] }, settle)
