// Secrets: how a record names one without telling it.
import { createHmac } from 'node:crypto'

/**
 * What stands for a secret in records: equal for equal secrets, so that a change of one is seen. It is keyed by the secret
 * itself, and tells as little of it as the secret is long and random.
 */
export const fingerprint = (secret: string): string =>
  `hmac-sha256:${createHmac('sha256', secret).update('auditlb configuration').digest('hex').slice(0, 16)}`
