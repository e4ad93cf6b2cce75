// The options by which requests are changed on their way, as far as they are no rules; and all of them together.
import { z } from 'zod'
import { type ForwardedConfig, hostText } from './forwarded.ts'
import type { HeadersConfig } from './header-rules.ts'
import type { PathConfig } from './path-rules.ts'

export const hostSchema = z.union(
  [
    z.enum(['keep', 'backend']),
    z.strictObject({
      /** What all of them get. */
      name: z.string().regex(hostText, 'expected a host name, with or without a port'),
    }),
  ],
  { error: 'expected "keep" or "backend", or an object with `name`' },
)

/** How requests are changed on their way. */
export interface OutgoingConfig {
  readonly host: z.output<typeof hostSchema>
  readonly forwarded: ForwardedConfig
  readonly path: PathConfig
  readonly headers: HeadersConfig
}
