// The transports that what holds for one must hold for all of.
export const transports = ['undici'] as const

/** The option of a balancer that chooses one. */
export const hopBy = (transport: (typeof transports)[number]): object => (transport === 'undici' ? {} : { transport })
