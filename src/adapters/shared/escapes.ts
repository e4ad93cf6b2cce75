// Keeps a target below a mount from leading out of what the backend is mounted on.

/** A segment `.` or `..` of the path, as any backend may read one: with escapes, backslashes, or parameters behind it. */
const dotSegment = /^[^?]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;?]|%2f|%5c|%3b|$)/i

/**
 * The target as it is handed in, below a mount. The backend would resolve dot segments, and the request leave what it was let
 * through for: such a target becomes a relative reference, which the gate refuses.
 */
export const belowMount = (target: string): string => (dotSegment.test(target) ? `.${target}` : target)

/** The same for a target that has lost its mount if it is not the original one. */
export const contained = (target: string, original: string | undefined): string =>
  original === undefined || original === target ? target : belowMount(target)
