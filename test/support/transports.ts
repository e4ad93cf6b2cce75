// The transports that what holds for one must hold for all of.
import type { BalancerOptions } from '../../src/config.ts'

export const transports = ['direct', 'undici', 'http'] as const
type Tested = (typeof transports)[number]

/** The option of a balancer that chooses one. */
export const hopBy = (transport: Tested): Pick<BalancerOptions, 'transport'> => ({ transport })
