// A step of an ending: when it fails, what comes behind it is done all the same.

/** Resolves to what `run` comes to, or to `fallback` once `failed` was told why it came to nothing. Never rejects. */
export async function step<T>(run: () => T | Promise<T>, fallback: T, failed: (error: unknown) => void): Promise<T> {
  try {
    return await run()
  } catch (error) {
    failed(error)
    return fallback
  }
}
