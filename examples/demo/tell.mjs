// Tells the story of the demo, as its log has it.
import { bold, green, heading, item, plural, red, seconds } from './paint.mjs'
import { failures, outage, retries, shares } from './story.mjs'

const counts = (table) =>
  Object.entries(table)
    .sort(([, a], [, b]) => b - a)
    .map(([name, n]) => `${n.toLocaleString('en')} ${name}`)
    .join(', ')

export function tell(story) {
  const start = Math.min(...[story.requests[0], story.health[0]].filter(Boolean).map(({ audit }) => audit.mono_us))
  const at = ({ audit }) => `+${((audit.mono_us - start) / 1e6).toFixed(2)} s`.padStart(9)

  heading('Requests, and why each went where it went')
  for (const [id, { served, reasons }] of shares(story.requests)) {
    item(`${bold(id)} served ${plural(served, 'request').padEnd(15)} ${counts(reasons)}`)
  }
  const retried = retries(story.requests)
  item(
    `${plural(retried.count, 'request')} went to a second backend (${counts(retried.causes)}); ${retried.rescued} succeeded there`,
  )
  const failed = failures(story.requests)
  const methods = [...new Set(failed.map(({ http }) => http.request.method))].join(' and ')
  if (failed.length === 0) item('no request failed for the client')
  else
    item(
      `${plural(failed.length, 'request')} failed for the client (${methods}): what may have had an effect is not sent twice`,
    )

  heading('What went down and came back')
  for (const event of story.health) {
    const { id, axis, from, to, cause, last_error: error, downtime_us: downtime } = event.backend
    const bad = to === 'ejected' || to === 'unhealthy'
    const because = `${cause}${error === undefined ? '' : `, ${error}`}${downtime === undefined ? '' : `, after ${seconds(downtime)}`}`
    item(`${at(event)}  ${bold(id)} ${axis} ${from} -> ${bad ? red(to) : green(to)} (${because})`)
  }
  const out = outage(story.health, 'b2')
  if (out !== undefined) item(`b2 was out for ${seconds(out)} in all`)

  heading('Who changed what')
  for (const event of story.changes) {
    const { message, ticket, revision, changes } = event.config
    const why = [message, ticket].filter(Boolean).join(', ')
    item(`${at(event)}  ${bold(event.actor.id)} made revision ${revision}${why === '' ? '' : ` (${why})`}`)
    for (const { path, from, to } of changes) item(`           ${path}: ${value(from)} -> ${value(to)}`)
  }

  heading('Who was refused what')
  for (const event of story.rejected) {
    const { attempted, code } = event.config
    item(`${at(event)}  ${bold(event.actor.id)} wanted ${attempted.type} ${value(attempted.arguments)}: ${red(code)}`)
  }
  for (const event of story.denials) {
    const { rule, phase, detail } = event.access
    const who = event.client?.address ?? event.actor?.id ?? 'somebody'
    item(`${at(event)}  ${bold(who)} refused by ${red(rule)}, ${phase}${detail === undefined ? '' : `: ${detail}`}`)
  }
}

const value = (any) => (any === undefined ? 'nothing' : JSON.stringify(any))
