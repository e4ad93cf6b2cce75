// A logger that does no harm.
import type { Logger } from '../runtime.ts'

/** The same logger, but that what it throws is ignored: there is nobody left to tell. */
export function quiet(logger: Logger): Logger {
  const guarded = (level: keyof Logger) => (fields: object, message: string) => {
    try {
      logger[level](fields, message)
    } catch {
      // A request must not fail because a fault could not be told.
    }
  }
  return { warn: guarded('warn'), error: guarded('error') }
}
