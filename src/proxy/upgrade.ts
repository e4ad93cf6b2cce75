// Which protocols a client may switch to, and what it asks for (RFC 9110 section 7.8).
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'

/** A protocol in `Upgrade`: its name, and perhaps a version. */
const protocol = /^[!#$%&'*+.^_`|~\w-]+(?:\/[!#$%&'*+.^_`|~\w-]+)?$/

const never = z.literal(false).transform(() => undefined)

export const upgradesSchema = z.strictObject({
  /**
   * The protocols that a client may switch to, as in `Upgrade`; one without a version stands for all versions. Default: all
   * but `h2c`, in which requests would pass that nothing here sees.
   */
  protocols: z.array(z.string().regex(protocol, 'expected a protocol as in `Upgrade`')).min(1).optional(),
  /** Most tunnels at a time, those that are being opened included; further ones are refused. Default unlimited. */
  maxOpen: z.int().min(1).max(1_000_000).optional(),
  /** How long a tunnel may carry nothing in either direction, in ms; `false` for ever. Default 600,000. */
  idleMs: z.union([never, z.int().min(1).max(604_800_000)], { error: 'expected false, or ms' }).prefault(600_000),
})
export type UpgradesConfig = z.output<typeof upgradesSchema>

/**
 * What a client asks to switch to, as it has said it but for what it may not; undefined where that leaves nothing, or where
 * `Upgrade` must be ignored: then it is a request as any other.
 */
export function askedUpgrade(config: UpgradesConfig | undefined, request: IncomingMessage): string | undefined {
  // A recipient must ignore it in HTTP/1.0.
  if (config === undefined || request.httpVersion !== '1.1') return undefined
  const allowed = membersOf(request.rawHeaders).filter((one) => isAllowed(config, one.toLowerCase()))
  return allowed.length === 0 ? undefined : allowed.join(', ')
}

/** The protocol that a backend has switched to; undefined if nobody asked for it. */
export function switchedTo(asked: string, headers: readonly string[]): string | undefined {
  const members = membersOf(headers)
  const known = asked.toLowerCase().split(', ')
  return members.length > 0 && members.every((one) => known.includes(one.toLowerCase()))
    ? members.join(', ')
    : undefined
}

function membersOf(raw: readonly string[]): string[] {
  const values = raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === 'upgrade')
  return values
    .flatMap((value) => value.split(','))
    .map((member) => member.trim())
    .filter((member) => protocol.test(member))
}

function isAllowed({ protocols }: UpgradesConfig, asked: string): boolean {
  if (protocols === undefined) return asked !== 'h2c'
  return protocols.some((one) => {
    const allowed = one.toLowerCase()
    return asked === allowed || asked.startsWith(`${allowed}/`)
  })
}
