// Ranges of addresses: a list of them, and whether an address is in it.
import { BlockList, isIP } from 'node:net'
import { z } from 'zod'
import { quoted } from './shown.ts'

/** An IP address or a CIDR range. */
export const rangeSchema = z.string().superRefine((text, context) => {
  if (parseRange(text) === undefined) {
    context.addIssue({
      code: 'custom',
      message: 'expected an IP address or a CIDR range',
      params: { got: quoted(text) },
    })
  }
})

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
