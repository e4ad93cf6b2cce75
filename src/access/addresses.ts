// The address list: who is served.
import { BlockList, isIP } from 'node:net'
import { z } from 'zod'

const range = z.string().superRefine((text, context) => {
  if (parseRange(text) === undefined) {
    context.addIssue({ code: 'custom', message: `expected an IP address or a CIDR range, got ${JSON.stringify(text)}` })
  }
})

export const accessSchema = z.strictObject({
  /** Only these addresses and CIDR ranges are served. Empty: everyone. Default empty. */
  allow: z.array(range).default([]),
  /** These are refused, also when they are allowed. Default empty. */
  deny: z.array(range).default([]),
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

export function listOf(ranges: readonly string[]): BlockList | undefined {
  if (ranges.length === 0) return undefined
  const list = new BlockList()
  for (const text of ranges) {
    const { address, prefix, family } = parseRange(text)!
    list.addSubnet(address, prefix, family)
  }
  return list
}

export function contains(list: BlockList, address: string): boolean {
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

export function parseRange(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', suffix, ...more] = text.split('/')
  const family = isIP(address)
  const most = family === 4 ? 32 : 128
  const prefix = suffix === undefined ? most : /^\d{1,3}$/.test(suffix) ? Number(suffix) : -1
  if (family === 0 || more.length > 0 || prefix < 0 || prefix > most) return undefined
  return { address, prefix, family: family === 4 ? 'ipv4' : 'ipv6' }
}
