// createAudit: one trail for several balancers.
import { parseOptions } from '../parse.ts'
import type { Audit } from './audit.ts'
import { type AuditOptions, auditSchema } from './options.ts'
import { Trail } from './trail.ts'

/**
 * A trail that several balancers share: pass it to each as `audit`, and close it after them. Starts at once. Throws
 * {@link BalancerError} `config-invalid`, which lists everything that is wrong.
 */
export function createAudit(options: AuditOptions = {}): Audit {
  return new Trail(parseOptions(auditSchema, options, 'createAudit'), 'auditlb')
}
