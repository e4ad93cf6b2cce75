// What every transport is made from.
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { TlsSettings } from '../tls.ts'
import type { ConnectionsConfig } from './pool.ts'

export const timeoutsSchema = z.strictObject({
  /** For a connection to be established, in ms. Default 5,000. */
  connectMs: z.int().min(1).max(600_000).default(5000),
  /** From the request to the head of the response, in ms. Default 60,000. */
  headerMs: z.int().min(1).max(3_600_000).default(60_000),
  /** Between two parts of the response's body, in ms. Default 60,000. */
  bodyIdleMs: z.int().min(1).max(3_600_000).default(60_000),
  /** Between two parts of the request's body, while the client is waited for, in ms; then 408. Default 60,000. */
  requestIdleMs: z.int().min(1).max(3_600_000).default(60_000),
  /** For one attempt, from the pick to the head of the response, in ms; then another one follows. Default off. */
  tryMs: z.int().min(1).max(3_600_000).optional(),
  /** For all attempts of a request together, until the head of the response, in ms. Default off. */
  totalMs: z.int().min(1).max(3_600_000).optional(),
})
type TimeoutsConfig = z.output<typeof timeoutsSchema>

export interface TransportSettings {
  readonly connections: ConnectionsConfig
  readonly timeouts: TimeoutsConfig
  /** For backends that have none of their own. */
  readonly tls: TlsSettings
  readonly clock: Clock
}
