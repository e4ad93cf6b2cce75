// Reads the story of the demo out of its audit log: nothing here has seen the balancer itself.
import { queryLog } from 'auditlb'

/** The five kinds of facts, by what the story keeps of each. */
export async function readStory(dir) {
  const story = { events: 0, requests: [], health: [], changes: [], rejected: [], denials: [] }
  const chapters = {
    'request.completed': story.requests,
    'backend.health_changed': story.health,
    'config.changed': story.changes,
    'config.rejected': story.rejected,
    'access.denied': story.denials,
  }
  for await (const event of queryLog(dir)) {
    story.events++
    chapters[event.event_name]?.push(event)
  }
  return story
}

/** Who served how much, and by which rule each was chosen. */
export function shares(requests) {
  const byBackend = new Map()
  for (const { lb } of requests) {
    if (lb.result !== 'ok') continue
    const { backend, reason } = lb.attempts.at(-1)
    const share = byBackend.get(backend) ?? { served: 0, reasons: {} }
    share.served++
    share.reasons[reason] = (share.reasons[reason] ?? 0) + 1
    byBackend.set(backend, share)
  }
  return [...byBackend].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Requests that needed more than one attempt, by what went wrong with the first. */
export function retries(requests) {
  const retried = requests.filter(({ lb }) => lb.attempts.length > 1)
  const causes = {}
  for (const { lb } of retried) causes[lb.attempts[0].result] = (causes[lb.attempts[0].result] ?? 0) + 1
  return { count: retried.length, rescued: retried.filter(({ lb }) => lb.result === 'ok').length, causes }
}

/** Requests that no backend has answered well. */
export const failures = (requests) =>
  requests.filter(({ http, lb }) => lb.result !== 'ok' || http.response.status_code >= 500)

/** How long it was from the first time that a backend was out until it was in again for good. */
export function outage(health, id) {
  const moves = health.filter(({ backend }) => backend.id === id && backend.axis !== 'admin')
  const down = moves.find(({ backend }) => backend.to === 'ejected' || backend.to === 'unhealthy')
  const back = moves.findLast(({ backend }) => backend.to === 'ok' || backend.to === 'healthy')
  return down === undefined || back === undefined ? undefined : back.audit.mono_us - down.audit.mono_us
}
