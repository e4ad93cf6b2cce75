// The options of syslogSink.
import { z } from 'zod'
import { tlsSchema } from '../../tls.ts'
import { feedShape, nameSchema } from '../shared/options.ts'

/** Facilities by name and number (RFC 5424 section 6.2.1). */
export const facilities = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  audit: 13,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const

export const syslogSinkSchema = z
  .strictObject({
    /** The receiver: a name or an address. */
    host: z.string().min(1),
    /** Its port. Default 514, with TLS 6514. */
    port: z.int().min(1).max(65_535).optional(),
    /** `tcp`, or `tls` (RFC 5425). Default `tcp`. */
    transport: z.enum(['tcp', 'tls']).default('tcp'),
    /** How TLS is spoken, as to backends. */
    tls: tlsSchema.optional(),
    /** The name that the receiver's certificate must be for. Default `host`. */
    serverName: z.string().min(1).optional(),
    /** The sink's name in faults, gaps and cursors. Default `syslog`. */
    name: nameSchema.default('syslog'),
    /** The facility, by name. Default `local0`. */
    facility: z.enum(Object.keys(facilities) as (keyof typeof facilities)[]).default('local0'),
    /** APP-NAME. Default the service. */
    appName: z
      .string()
      .regex(/^[!-~]{1,48}$/, 'expected 1 to 48 printable characters of ASCII without spaces')
      .optional(),
    /**
     * Your private enterprise number at IANA. With it, origin and index stand in the structured data of each message, as
     * `[auditlb@<number> origin="…" index="…"]`; they are in the line in any case. Default none.
     */
    enterprise: z.int().min(1).max(4_294_967_295).optional(),
    ...feedShape,
  })
  .superRefine(({ transport, tls, serverName }, context) => {
    if (transport === 'tls') return
    for (const [part, value] of Object.entries({ tls, serverName }))
      if (value !== undefined)
        context.addIssue({ code: 'custom', path: [part], message: "expected only with transport 'tls'" })
  })

export type SyslogSinkOptions = z.input<typeof syslogSinkSchema>
