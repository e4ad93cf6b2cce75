// The address list: who is served.
import { z } from 'zod'
import { contains, listOf, rangeSchema } from '../ranges.ts'

export const accessSchema = z.strictObject({
  /** Only these addresses and CIDR ranges are served. Empty: everyone. Default empty. */
  allow: z.array(rangeSchema).default([]),
  /** These are refused, also when they are allowed. Default empty. */
  deny: z.array(rangeSchema).default([]),
})
export type AccessConfig = z.output<typeof accessSchema>

/** The rule that refuses an address, or undefined if it may pass. */
export type AccessCheck = (address: string) => string | undefined

/** An address that is not an IP address (a unix socket has none) passes unless an allow list is set. */
export function compileAccess(config: AccessConfig): AccessCheck {
  const allow = listOf(config.allow)
  const deny = listOf(config.deny)
  return (address) => {
    if (deny !== undefined && contains(deny, address)) return 'access.deny'
    if (allow !== undefined && !contains(allow, address)) return 'access.allow'
    return undefined
  }
}
