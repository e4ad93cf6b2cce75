// Trust: which proxies in front of us are believed when they say who the client is.
import { z } from 'zod'
import { contains, listOf, parseRange } from '../ranges.ts'
import { quoted } from '../shown.ts'

/** Ranges that have a name (RFC 1122, RFC 3927, RFC 1918, RFC 4193, RFC 4291), as Express has them. */
const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * Tells whether an address is believed. `hop` is how far away it is: 0 is the peer, 1 the one that the peer names. Must be
 * quick. One that throws, or returns anything but `true`, does not believe.
 */
export type TrustFunction = (address: string, hop: number) => boolean

/** More proxies in a row than there are anywhere. */
const mostHops = 32

const entry = z.string().superRefine((text, context) => {
  if (!Object.hasOwn(named, text) && parseRange(text) === undefined)
    context.addIssue({
      code: 'custom',
      message: `expected an IP address, a CIDR range, or ${Object.keys(named).join(', ')}`,
      params: { got: quoted(text) },
    })
})

const expected =
  'expected false, a list of addresses and ranges, a number of proxies from 1 to 32, a function, or an object with `from`'
const from = z.union(
  [
    z.int().min(1).max(mostHops),
    z.array(entry),
    z.custom<TrustFunction>((value) => typeof value === 'function', expected),
  ],
  { error: expected },
)

/**
 * Nobody (`false`), addresses, ranges and names of ranges, how many proxies stand in front, or a function that tells; or an
 * object that says besides which header they write.
 */
export const trustSchema = z
  .union(
    [
      z.literal(false),
      from,
      z.strictObject({
        /** Who is believed: a list, a number, or a function. */
        from,
        /**
         * The header in which they write who the client is: the other one is not believed. `either`: `X-Forwarded-For`, and
         * `Forwarded` where there is no such line. Default `either`.
         */
        header: z.enum(['either', 'x-forwarded-for', 'forwarded']).default('either'),
      }),
    ],
    { error: expected },
  )
  .transform((given) => {
    if (given === false) return false
    if (typeof given === 'object' && 'from' in given) return given
    return { from: given, header: 'either' as const }
  })
export type TrustConfig = z.output<typeof trustSchema>

/**
 * The check, or undefined if nobody is believed. A peer without an address is one of a unix socket: `loopback` holds it, and
 * a number and a function may. `onFault` is told what a function of the host throws.
 */
export function compileTrust(config: TrustConfig, onFault: (error: unknown) => void): TrustFunction | undefined {
  if (config === false) return undefined
  const { from: given } = config
  if (typeof given === 'number') return (_, hop) => hop < given
  if (typeof given === 'function')
    return (address, hop) => {
      try {
        return given(address, hop) === true
      } catch (error) {
        onFault(error)
        return false
      }
    }
  const list = listOf(given.flatMap((text) => named[text] ?? [text]))
  const local = given.includes('loopback')
  return (address) => (address === '' ? local : list !== undefined && contains(list, address))
}
