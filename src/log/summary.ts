// An event as one readable line.
import { type LoggedEvent, member } from './envelope.ts'

/** Text that a terminal shows and does not obey: what is not printable, and what changes the direction of text, is escaped. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)

/** Where the parts of a summary stand in an event, in the order in which they are shown. */
const parts: readonly (readonly [label: string, place: readonly string[]])[] = [
  ['', ['http', 'request', 'method']],
  ['', ['url', 'path']],
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
  for (const [label, place] of parts) {
    const value = member(event, ...place)
    if (value === undefined) continue
    words.push(label === '' ? text(value) : `${label}=${text(value)}`)
  }
  const attempts = member(event, 'lb', 'attempts')
  if (Array.isArray(attempts) && attempts.length > 1) {
    words.push(`attempts=${attempts.map((one: LoggedEvent) => `${text(one?.backend)}:${text(one?.result)}`).join(',')}`)
  }
  const changes = member(event, 'config', 'changes')
  if (Array.isArray(changes)) for (const change of changes as LoggedEvent[]) words.push(changed(change))
  const log = member(event, 'log')
  if (log !== undefined) words.push(`log=${text(log)}`)
  return printable(words.join(' '))
}

const changed = (change: LoggedEvent): string =>
  `${text(change?.path)}: ${text(change?.from) || 'nothing'} -> ${text(change?.to) || 'nothing'}`

function text(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
}
