// The address of a client as records have it: as it is, without its last part, or by a pseudonym.
import { isIP } from 'node:net'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { folderKeys, type MonthKey, MonthKeys } from './month-keys.ts'

export const clientSchema = z.union(
  [
    z.enum(['full', 'truncate']),
    z.strictObject({
      /** Addresses are told as `p:<month>:<HMAC>`, equal for equal addresses within a calendar month (UTC). */
      pseudonym: z.strictObject({
        /**
         * A folder with a key for each month, `2026-11`, made at need with mode 0600; or a function of the month that returns
         * its key, 16 bytes or more, or a promise of it. Once the key of a month is destroyed, nobody can tell whose its
         * pseudonyms were.
         */
        keys: z.union(
          [
            z.string().min(1),
            z.custom<(month: string) => MonthKey | Promise<MonthKey>>((value) => typeof value === 'function'),
          ],
          { error: 'expected a folder, or a function (month) => key' },
        ),
      }),
    }),
  ],
  { error: "expected 'full', 'truncate', or an object with `pseudonym`" },
)
export type ClientConfig = z.output<typeof clientSchema>

export interface ClientMask {
  /** Never throws, never waits. */
  address(address: string): string
  /** Resolves once addresses have pseudonyms, rejects if they cannot have any. */
  ready(): Promise<void>
}

/** Undefined where addresses are told as they are. `onFault` hears why there is no key. */
export function createClientMask(
  config: ClientConfig,
  clock: Clock,
  onFault: (error: unknown) => void,
): ClientMask | undefined {
  if (config === 'full') return undefined
  if (config === 'truncate') return { address: remembering(() => truncated), ready: async () => undefined }
  const { keys } = config.pseudonym
  const months = new MonthKeys(typeof keys === 'function' ? keys : folderKeys(keys), clock, onFault)
  // What is remembered belongs to one key.
  return { address: remembering(() => months.current() ?? lengthOf), ready: () => months.ready() }
}

/** How many addresses are remembered with what stands for them. */
const mostRemembered = 4096

function remembering(makerNow: () => (address: string) => string): (address: string) => string {
  const known = new Map<string, string>()
  let maker: ((address: string) => string) | undefined
  return (address) => {
    // A client of a unix socket has none.
    if (address === '') return ''
    const now = makerNow()
    if (now !== maker || known.size >= mostRemembered) known.clear()
    maker = now
    const found = known.get(address)
    if (found !== undefined) return found
    const made = now(address)
    known.set(address, made)
    return made
  }
}

const lengthOf = (address: string): string => `[${address.length}]`

/** The network of an address: /24 of IPv4, /48 of IPv6. What is no address is told by its length. */
export function truncated(address: string): string {
  const version = isIP(address)
  if (version === 4) return `${address.slice(0, address.lastIndexOf('.'))}.0`
  if (version !== 6) return lengthOf(address)
  const mapped = /^(?:0*:)*:?ffff:((?:\d{1,3}\.){3})\d{1,3}$/i.exec(address)?.[1]
  if (mapped !== undefined) return `${mapped}0`
  const [one, two, three] = firstGroups(address.split('%')[0]!) as [number, number, number]
  // An address of 6to4 holds one of IPv4 in its second and third group (RFC 3056): of that, /24 as well.
  const last = one === 0x2002 ? three & 0xff00 : three
  const groups = [one, two, last]
  while (groups.length > 0 && groups.at(-1) === 0) groups.pop()
  return `${groups.map((group) => group.toString(16)).join(':')}::`
}

function firstGroups(address: string): number[] {
  const [left = '', right] = address.split('::')
  const parse = (text: string): number[] =>
    text === '' ? [] : text.split(':').flatMap((group) => (group.includes('.') ? [0, 0] : [Number.parseInt(group, 16)]))
  const before = parse(left)
  const after = right === undefined ? [] : parse(right)
  const between = new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0)
  return [...before, ...between, ...after].slice(0, 3)
}
