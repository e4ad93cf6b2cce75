// The seal: gives an event its place in a log, and makes it the line that the log proves.
import { canonical, type Json } from '../canonical.ts'
import type { AuditEvent } from '../events.ts'
import { type LogHead, type LogName, maxLineBytes } from '../sink.ts'
import { completedLine } from './completed-line.ts'

/** The parts of an event that grow with the pool or with what a client sends. Dropped, in this order, from a line that is too long. */
const droppable: readonly (readonly string[])[] = [
  ['lb', 'decision', 'trace'],
  ['http', 'request', 'header'],
  ['url', 'query'],
  ['lb', 'decision', 'excluded'],
  ['app'],
  ['log', 'by_type'],
  ['config', 'attempted'],
  ['balancer', 'config'],
  ['config', 'before'],
  ['config', 'after'],
  ['config', 'changes'],
]

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

  /** The line of this event at the head of a log. It has its place there only once `place` was called too. */
  line(head: Head, event: AuditEvent): string {
    event.audit.origin = head.origin
    event.audit.index = head.next
    const line = lineOf(event)
    // A character is at most three bytes of UTF-8: short lines need no count.
    return line.length * 3 > maxLineBytes && Buffer.byteLength(line) > maxLineBytes ? shorten(line) : line
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

function shorten(whole: string): string {
  const copy = JSON.parse(whole) as { audit: object } & Record<string, unknown>
  copy.audit = { ...copy.audit, truncated: true }
  for (const path of droppable) {
    drop(copy, path)
    const line = canonical(copy as Json)
    if (Buffer.byteLength(line) <= maxLineBytes) return line
  }
  return canonical(clip(copy as Json))
}

/** No event has so many texts that this much of each would fill a line. */
const clipLength = 256

function clip(value: Json): Json {
  if (typeof value === 'string')
    return value.length > clipLength
      ? `${value.slice(0, clipLength).toWellFormed()}[+${value.length - clipLength}]`
      : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(clip)
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (member === undefined ? [] : [[key, clip(member)]])),
  )
}

// A member that the schema demands stays, empty; one that it does not, goes.
function drop(event: Record<string, unknown>, path: readonly string[]): void {
  let at: Record<string, unknown> | undefined = event
  for (const key of path.slice(0, -1)) at = at?.[key] as Record<string, unknown> | undefined
  const key = path[path.length - 1]!
  if (at?.[key] === undefined) return
  // A part of a trace would replay to somebody else.
  if (key === 'trace') delete at[key]
  else at[key] = Array.isArray(at[key]) ? [] : {}
}
