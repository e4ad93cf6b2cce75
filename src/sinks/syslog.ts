// syslogSink: lines as syslog messages (RFC 5424), over TCP or TLS.
import { type Clock, systemClock } from '../clock.ts'
import { parseOptions } from '../parse.ts'
import { host } from '../runtime.ts'
import type { Sink } from '../sink.ts'
import { eachInTurns } from './formats/in-turns.ts'
import { fedBy } from './shared/options.ts'
import { Refusal } from './shared/refusal.ts'
import { StreamSocket } from './syslog/connection.ts'
import { Doubts } from './syslog/doubts.ts'
import { framed, messageOf } from './syslog/message.ts'
import { facilities, type SyslogSinkOptions, syslogSinkSchema } from './syslog/options.ts'

export type { SyslogSinkOptions } from './syslog/options.ts'

/** A balancer that has no receiver takes a connection, and ends it, mostly within that. */
const trialMs = 1000

/**
 * Writes each line as one message, framed by its length (RFC 6587 section 3.4.1; RFC 5425 over TLS). Syslog has no
 * acknowledgement: lines are accepted once the system has taken all of their bytes, and the connection has stood for 1 s and still
 * does. If it breaks within half of `timeoutMs` of that, they are asked for again, as often as it takes, and until a connection has
 * stood so long nothing counts as accepted. A line can come twice; what a receiver loses later is lost.
 */
export function syslogSink(options: SyslogSinkOptions): Sink {
  const config = parseOptions(syslogSinkSchema, options, 'syslogSink')
  const { appName, enterprise, port = config.transport === 'tls' ? 6514 : 514 } = config
  const heading = { facility: facilities[config.facility], appName, enterprise }
  /** A write that waits for longer than that would not end within its time. */
  const settleMs = config.timeoutMs / 2
  const doubts = new Doubts(settleMs * 1000)
  let clock: Clock = systemClock
  /** Whether a connection took lines with it, and none has stood since. */
  let doubted = false
  let untold = false

  const socket = new StreamSocket({ ...config, port }, () => {
    if (doubts.broke(clock.monoUs())) doubted = untold = true
  })

  return {
    ...fedBy(config),
    async open(context) {
      clock = context.clock
    },
    async write({ origin, first, lines }, signal) {
      // As a fault first, so that it is told, and then as a place to go on from.
      const tell = untold
      untold = false
      if (tell)
        throw new Refusal(`the connection broke, and the receiver may not have the lines of the last ${settleMs} ms`)
      const resumeAt = doubts.again(origin, first)
      if (resumeAt !== undefined) throw new Refusal('the receiver may not have lines before these', { resumeAt })
      const head = { ...heading, hostname: host() }
      const bytes = Buffer.concat(await eachInTurns(lines, (line) => framed(messageOf(line, head))))
      try {
        await socket.write(bytes, { clock, trialMs: doubted ? settleMs : Math.min(trialMs, settleMs) }, signal)
      } catch (error) {
        untold = false
        throw error
      }
      doubted = false
      doubts.took(origin, first, clock.monoUs())
    },
    close: () => socket.end(),
  }
}
