// The bulk API of Elasticsearch and OpenSearch: a document for each line, created once.
import { member, parseLine } from '../../log/envelope.ts'
import type { LineEvent } from '../../sink.ts'
import { Refusal } from '../shared/refusal.ts'
import { intAt, uidOf } from './facts.ts'
import type { Format } from './format.ts'
import { byLine } from './in-turns.ts'
import { type MapOptions, mapper, mapSchema } from './mapping.ts'
import { checkOptions } from './options.ts'

/**
 * Posted to the URL as it is given: `https://…/<index or data stream>/_bulk`. The id of a document is origin and index of
 * its line, and it is only ever created: one that comes twice is refused as a conflict, which counts as accepted. Throws `config-invalid`
 * for options that are not valid.
 */
export function elasticsearch(options: MapOptions = {}): Format {
  checkOptions({ map: mapSchema }, options, 'elasticsearch')
  const { map = 'ecs' } = options
  const text = mapper(map)
  return byLine({
    each(line) {
      const event = JSON.parse(line) as LineEvent
      return { event, action: `{"create":{"_id":${JSON.stringify(uidOf(event))}}}\n${text(line)}\n` }
    },
    whole: (parts) => ({
      contentType: 'application/x-ndjson',
      body: parts.map(({ action }) => action).join(''),
      accepted: ({ body }) =>
        judge(
          body,
          parts.map(({ event }) => event),
        ),
    }),
  })
}

/** Each item has a status of its own, in the order of the actions. */
function judge(body: string, events: readonly LineEvent[]): undefined {
  const answer = parseLine(body)
  if (answer === undefined) throw new Refusal('the answer to a bulk request is no JSON object of at most 4 MiB')
  // A gateway before it may answer 200 to whatever it is asked.
  if (typeof answer.errors !== 'boolean')
    throw new Refusal('the answer to a bulk request does not say whether there were errors')
  const items = Array.isArray(answer.items) ? answer.items : []
  if (items.length !== events.length)
    throw new Refusal(`the answer to a bulk request has ${items.length} items, expected ${events.length}`)
  const statuses = items.map((item) => Number(member(item as LineEvent, 'create', 'status')))
  const wrong = (status: number): boolean => !(status >= 200 && status < 300) && status !== 409
  const first = statuses.findIndex((status) => wrong(status) && status !== 400 && status !== 413)
  // All of the batch comes again: what was created is a conflict then.
  if (first !== -1) throw new Refusal(`an item of a bulk request was answered ${statuses[first]}${why(items[first])}`)
  const bad = statuses.flatMap((status, i) => (wrong(status) ? [i] : []))
  if (bad.length === 0) return
  throw new Refusal(`${bad.length} of ${events.length} items of a bulk request were refused${why(items[bad[0]!])}`, {
    rejected: bad.flatMap((i) => intAt(events[i]!, 'audit.index') ?? []),
  })
}

// The type is one of the server's own words; its reason can hold anything.
function why(item: unknown): string {
  const type = member(item as LineEvent, 'create', 'error', 'type')
  return typeof type === 'string' && /^[a-z_]{1,64}$/.test(type) ? `: ${type}` : ''
}
