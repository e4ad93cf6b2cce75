// Draws of the simulation, each kind from a source of its own: what one strategy draws alters nobody's arrivals.

/** In (0, 1]. */
const unit = (random) => (random.uint32() + 1) / 0x1_0000_0000

/** The time between two arrivals of a Poisson process, in µs. */
export const gapUs = (random, ratePerSecond) => (-Math.log(unit(random)) * 1_000_000) / ratePerSecond

/** How long a request takes a backend: the part `spread` of the mean is exponential, the rest the same for all; in µs. */
export const serviceUs = (random, { meanMs, spread = 0.5 }) =>
  meanMs * 1000 * (1 - spread - spread * Math.log(unit(random)))
