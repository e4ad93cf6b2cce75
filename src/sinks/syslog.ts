// syslogSink: lines as syslog messages (RFC 5424), over TCP or TLS.
import { type Clock, systemClock } from '../clock.ts'
import { parseOptions } from '../parse.ts'
import type { Sink } from '../sink.ts'
import { fedBy } from './shared/options.ts'
import { Refusal } from './shared/refusal.ts'
import { StreamSocket } from './syslog/connection.ts'
import { framed, messageOf } from './syslog/message.ts'
import { facilities, type SyslogSinkOptions, syslogSinkSchema } from './syslog/options.ts'

export type { SyslogSinkOptions } from './syslog/options.ts'

/** A connection that breaks so soon after a write may have taken with it what was written. */
const doubtUs = 10_000_000

/**
 * Writes each line as one message, framed by its length (RFC 6587 section 3.4.1; RFC 5425 over TLS). Syslog has no
 * acknowledgement: lines are accepted once the system has taken all of their bytes and the connection stands. If it breaks within
 * 10 s of that, they are asked for again, once, so a line can come twice; what a receiver loses later is lost.
 */
export function syslogSink(options: SyslogSinkOptions): Sink {
  const config = parseOptions(syslogSinkSchema, options, 'syslogSink')
  const { appName, enterprise, port = config.transport === 'tls' ? 6514 : 514 } = config
  const heading = { facility: facilities[config.facility], appName, enterprise }
  let clock: Clock = systemClock
  /** By origin: where each batch began that this connection took lately, and when that was. */
  const recent = new Map<string, { first: number; us: number }[]>()
  /** By origin: where lines begin that may be lost, and those that were asked for last: none is a second time. */
  const doubtful = new Map<string, number>()
  const asked = new Map<string, number>()

  const lately = (origin: string): { first: number; us: number }[] =>
    (recent.get(origin) ?? []).filter(({ us }) => clock.monoUs() - us < doubtUs)
  const socket = new StreamSocket({ ...config, port }, () => {
    for (const origin of recent.keys()) {
      const oldest = lately(origin).find(({ first }) => first > (asked.get(origin) ?? -1))
      if (oldest !== undefined) doubtful.set(origin, oldest.first)
    }
    recent.clear()
  })

  return {
    ...fedBy(config),
    async open(context) {
      clock = context.clock
    },
    async write(batch, signal) {
      const { origin, first, lines } = batch
      const resumeAt = doubtful.get(origin)
      doubtful.delete(origin)
      if (resumeAt !== undefined && resumeAt < first) {
        asked.set(origin, resumeAt)
        throw new Refusal('the connection broke, and the receiver may not have the last lines', { resumeAt })
      }
      await socket.write(Buffer.concat(lines.map((line) => framed(messageOf(line, heading)))), signal)
      recent.set(origin, [...lately(origin), { first, us: clock.monoUs() }])
    },
    close: () => socket.end(),
  }
}
