// The seal: gives an event its place in a log, and makes it the line that the log proves.
import { canonical, type Json } from '../canonical.ts'
import type { AuditEvent } from '../events.ts'
import { type LogHead, type LogName, maxLineBytes } from '../sink.ts'
import { completedLine } from './completed-line.ts'
import { shortened } from './shorten.ts'

/** Where the next event of a log is put. Written by place. */
interface Head extends LogHead {
  next: number
}

export class Sealer {
  #heads: Record<LogName, Head>

  constructor(heads: Readonly<Record<LogName, LogHead>>) {
    this.#heads = structuredClone(heads)
  }

  head(log: LogName): Head {
    return this.#heads[log]
  }

  /**
   * The line of this event at the head of a log, of at most `maxLineBytes`. It has its place there only once `place` was called
   * too. Throws where no line can hold it.
   */
  line(head: Head, event: AuditEvent): string {
    event.audit.origin = head.origin
    event.audit.index = head.next
    const line = lineOf(event)
    // A character is at most three bytes of UTF-8: short lines need no count.
    return line.length * 3 > maxLineBytes && Buffer.byteLength(line) > maxLineBytes ? shortened(line) : line
  }

  /** Gives the event the head's place, which is the next one's no more: an index stands for exactly one event. */
  place(head: Head, event: AuditEvent): number {
    event.audit.origin = head.origin
    event.audit.index = head.next
    return head.next++
  }
}

function lineOf(event: AuditEvent): string {
  const line = event.event_name === 'request.completed' ? completedLine(event) : undefined
  return line ?? canonical(event as unknown as Json)
}
