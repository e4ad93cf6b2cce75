// The sizes of the heavy statistics: whole, or short enough for every change.

/** `AUDITLB_FULL=short` shortens the runs of `test/full`, not what they hold. */
export const scaled = <T>(full: T, short: T): T => (process.env.AUDITLB_FULL === 'short' ? short : full)
