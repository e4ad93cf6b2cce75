// Keeps a target below a mount from leading out of what the backend is mounted on.

/** A segment `.` or `..` of the path, as any backend may read one: with escapes, backslashes, or parameters behind it. */
const dotSegment = /^[^?]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;?]|%2f|%5c|%3b|$)/i

/**
 * The target as it is handed in. Where a mount was taken off it, the backend would resolve dot segments, and leave what it is
 * mounted on: such a target becomes a relative reference, which the gate refuses.
 */
export const contained = (target: string, original: string | undefined): string =>
  original !== undefined && original !== target && dotSegment.test(target) ? `.${target}` : target
