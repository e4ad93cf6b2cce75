// An event as one readable line.
import { type LoggedEvent, member } from './envelope.ts'

/** Text that a terminal shows and does not obey: what is not printable, and what changes the direction of text, is escaped. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)

/** Characters of a host's own fields: a line of them may have 64 KiB. */
const mostOfApp = 256

/** Where the parts of a summary stand in an event, in the order in which they are shown. */
const parts: readonly (readonly [label: string, place: readonly string[], before?: readonly string[]])[] = [
  ['', ['http', 'request', 'method']],
  // The path that the client asked for, where a mount took off its beginning.
  ['', ['url', 'path'], ['url', 'original_path']],
  ['', ['http', 'response', 'status_code']],
  ['result', ['lb', 'result']],
  ['backend', ['lb', 'decision', 'backend']],
  ['reason', ['lb', 'decision', 'reason']],
  ['backend', ['backend', 'id']],
  ['axis', ['backend', 'axis']],
  ['from', ['backend', 'from']],
  ['to', ['backend', 'to']],
  ['cause', ['backend', 'cause']],
  ['rule', ['access', 'rule']],
  ['phase', ['access', 'phase']],
  ['client', ['client', 'address']],
  ['actor', ['actor', 'id']],
  ['code', ['config', 'code']],
  ['attempted', ['config', 'attempted']],
  ['message', ['config', 'message']],
  ['ticket', ['config', 'ticket']],
  ['revision', ['config', 'revision']],
  ['total_us', ['lb', 'timing', 'total_us']],
  ['request', ['lb', 'request_id']],
]

export function summary(event: LoggedEvent): string {
  const words = [
    text(member(event, 'time')),
    text(member(event, 'lb', 'pool')) || '-',
    text(member(event, 'event_name')),
  ]
  for (const [label, place, before] of parts) {
    const value = (before && member(event, ...before)) ?? member(event, ...place)
    if (value === undefined) continue
    words.push(label === '' ? text(value) : `${label}=${text(value)}`)
  }
  const attempts = member(event, 'lb', 'attempts')
  if (Array.isArray(attempts) && attempts.length > 1) {
    words.push(`attempts=${attempts.map((one: LoggedEvent) => `${text(one?.backend)}:${text(one?.result)}`).join(',')}`)
  }
  const changes = member(event, 'config', 'changes')
  if (Array.isArray(changes)) for (const change of changes as LoggedEvent[]) words.push(changed(change))
  // What a host adds to requests of its own would hide the rest of them.
  const app = String(member(event, 'event_name')).startsWith('app.') ? member(event, 'app') : undefined
  if (app !== undefined) words.push(`app=${short(text(app))}`)
  const log = member(event, 'log')
  if (log !== undefined) words.push(`log=${text(log)}`)
  return printable(words.join(' '))
}

const short = (text: string): string => (text.length > mostOfApp ? `${text.slice(0, mostOfApp)}…` : text)

const changed = (change: LoggedEvent): string =>
  `${text(change?.path)}: ${text(change?.from) || 'nothing'} -> ${text(change?.to) || 'nothing'}`

function text(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
}
