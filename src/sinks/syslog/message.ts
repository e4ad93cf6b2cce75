// One syslog message (RFC 5424), and its frame.
import { member, parseLine } from '../../log/envelope.ts'

export interface Heading {
  readonly facility: number
  readonly hostname: string
  readonly appName?: string | undefined
  readonly enterprise?: number | undefined
}

/** Severities of syslog, by the ranges of OpenTelemetry: debug, informational, warning, error, critical. */
const severityOf = (severity: number): number =>
  severity < 9 ? 7 : severity < 13 ? 6 : severity < 17 ? 4 : severity < 21 ? 3 : 2

/**
 * The line whole and as it is, behind a header. It is UTF-8 without a byte order mark, which RFC 5424 allows (MSG-ANY): a mark
 * would be no JSON.
 */
export function messageOf(line: string, { facility, hostname, appName, enterprise }: Heading): string {
  const event = parseLine(line) ?? {}
  const at = (...place: string[]): string => String(member(event, ...place) ?? '')
  const pri = facility * 8 + severityOf(Number(member(event, 'severity') ?? 9))
  const header = [
    `<${pri}>1`,
    timeOf(at('time')),
    printed(hostname, 255),
    printed(appName ?? at('service', 'name'), 48),
    // Who writes: it stays the same as long as the log goes on, as a process id would.
    printed(at('service', 'instance', 'id'), 128),
    printed(at('event_name'), 32),
  ].join(' ')
  const data =
    enterprise === undefined
      ? '-'
      : `[auditlb@${enterprise} origin="${quoted(at('audit', 'origin'))}" index="${quoted(at('audit', 'index'))}"]`
  return `${header} ${data} ${line}`
}

/** Octet counting (RFC 6587 section 3.4.1, RFC 5425 section 4.3). */
export function framed(message: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(message)} ${message}`)
}

/** A field of the header: printable ASCII without spaces, or nil. */
const printed = (text: string, most: number): string => text.replace(/[^!-~]/g, '-').slice(0, most) || '-'

/** RFC 3339 in UTC, as lines have it; or nil. */
const timeOf = (text: string): string => (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/.test(text) ? text : '-')

/** The value of a parameter (RFC 5424 section 6.3.3). */
const quoted = (text: string): string => text.replace(/["\\\]]/g, '\\$&')
