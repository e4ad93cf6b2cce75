// The words of the Elastic Common Schema 9: fields that are known, and no others.
import { member } from '../../log/envelope.ts'
import { summary } from '../../log/summary.ts'
import type { LineEvent } from '../../sink.ts'
import { headerOf, holdActorOf, intAt, ipOf, lineOf, logOf, queryOf, severityText, textAt, uidOf } from './facts.ts'

/** Category and types that ECS allows, by the beginning of an event's name; the first that fits. */
const kinds: readonly (readonly [beginning: string, words: string])[] = [
  ['request.', 'web access'],
  ['access.denied', 'network denied'],
  ['tunnel.', 'network connection start'],
  ['route.picked', 'network connection start'],
  ['route.released', 'network connection end'],
  ['config.', 'configuration change'],
  ['audit.key_rotated', 'configuration change'],
  ['audit.hold_changed', 'configuration change'],
  ['audit.pruned', 'configuration deletion'],
  ['audit.', 'configuration info'],
  ['balancer.started', 'process start'],
  ['balancer.stopped', 'process end'],
  ['balancer.', 'process change'],
  ['backend.health_changed', 'host change'],
  ['topology.', 'host change'],
  ['pool.', 'host change'],
  ['backend.', 'host info'],
  ['health.', 'host info'],
  ['discovery.', 'host info'],
]

/**
 * An event as a document of ECS. Whatever a client, a host or a configuration has given a name to becomes no field, so that nobody
 * outside can add to a mapping: that is in `event.original`, which is the line itself, so that it can still be proved.
 */
export function toEcs(event: LineEvent, line: string = lineOf(event)): object {
  const name = textAt(event, 'event_name') ?? ''
  const origin = textAt(event, 'audit.origin')
  const [category, ...types] = kinds.find(([beginning]) => name.startsWith(beginning))?.[1].split(' ') ?? []
  const holderPlace = holdActorOf(event)
  const holder = holderPlace === undefined ? undefined : textAt(event, holderPlace)
  const durationUs = intAt(event, 'lb.timing.total_us') ?? intAt(event, 'lb.duration_us')
  return filled({
    '@timestamp': textAt(event, 'time'),
    actor: member(event, 'actor'),
    audit: { ...(member(event, 'audit') as object | undefined), log: facts(member(event, 'log')) },
    backend: member(event, 'backend'),
    balancer: facts(member(event, 'balancer')),
    client: endpoint(event, 'client'),
    cloud: member(event, 'cloud'),
    config: facts(member(event, 'config')),
    discovery: facts(member(event, 'discovery')),
    ecs: { version: '9.0.0' },
    event: {
      action: name,
      category: category === undefined ? undefined : [category],
      dataset: origin === undefined ? undefined : `auditlb.${logOf(origin)}`,
      duration: durationUs === undefined ? undefined : durationUs * 1000,
      id: uidOf(event),
      kind: 'event',
      module: 'auditlb',
      original: line,
      outcome: textAt(event, 'outcome'),
      reason: textAt(event, 'access.detail') ?? textAt(event, 'lb.detail') ?? textAt(event, 'config.detail'),
      sequence: intAt(event, 'audit.index'),
      severity: intAt(event, 'severity'),
      type: category === undefined ? undefined : types,
    },
    http: {
      request: {
        body: { bytes: intAt(event, 'http.request.body.size') },
        id: textAt(event, 'lb.request_id'),
        method: textAt(event, 'http.request.method'),
        referrer: headerOf(event, 'referer'),
      },
      response: {
        body: { bytes: intAt(event, 'http.response.body.size') },
        status_code: intAt(event, 'http.response.status_code'),
      },
      version: textAt(event, 'network.protocol.version'),
    },
    lb: withoutTrace(member(event, 'lb')),
    log: { level: severityText(intAt(event, 'severity') ?? 9).toLowerCase() },
    message: summary(event),
    rule: { name: textAt(event, 'access.rule'), category: textAt(event, 'access.phase') },
    service: { name: textAt(event, 'service.name'), node: { name: textAt(event, 'service.instance.id') } },
    source: endpoint(event, 'network.peer'),
    span: { id: textAt(event, 'span_id') },
    tls: {
      cipher: textAt(event, 'tls.cipher'),
      client: {
        hash: { sha256: textAt(event, 'tls.client.hash.sha256') },
        subject: textAt(event, 'tls.client.subject'),
      },
      version: textAt(event, 'tls.protocol.version'),
      version_protocol: textAt(event, 'tls.protocol.name'),
    },
    trace: { id: textAt(event, 'trace_id') },
    url: { path: textAt(event, 'url.path'), query: queryOf(event), original: textAt(event, 'url.original_path') },
    user: { id: textAt(event, 'actor.id') ?? textAt(event, 'app.principal.id') ?? holder },
    user_agent: { original: headerOf(event, 'user-agent') },
  })!
}

const endpoint = (event: LineEvent, place: string): object => ({
  address: textAt(event, `${place}.address`),
  ip: ipOf(textAt(event, `${place}.address`)),
  port: intAt(event, `${place}.port`),
})

/** The members that are text, numbers or truth: the others hold names that are not ours. */
const facts = (part: unknown): object =>
  Object.fromEntries(Object.entries(Object(part) as object).filter(([, value]) => typeof value !== 'object'))

/** The options of a strategy of the user's own have any names; what a replay needs is in the line. */
function withoutTrace(lb: unknown): object {
  const { decision, attempts, ...rest } = Object(lb) as { decision?: object; attempts?: readonly object[] }
  const plain = (made: object | undefined): object | undefined =>
    made === undefined ? undefined : { ...made, trace: undefined }
  return {
    ...rest,
    decision: plain(decision),
    attempts: attempts?.map((one) => ({ ...one, decision: plain((one as { decision?: object }).decision) })),
  }
}

/** Without members that have no value, and objects that have no members. */
function filled(value: object): Record<string, unknown> | undefined {
  const kept: Record<string, unknown> = {}
  let some = false
  for (const [key, given] of Object.entries(value)) {
    const inner = typeof given === 'object' && given !== null && !Array.isArray(given) ? filled(given) : given
    if (inner === undefined) continue
    kept[key] = inner
    some = true
  }
  return some ? kept : undefined
}
