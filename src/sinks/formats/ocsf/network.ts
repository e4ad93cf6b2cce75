// HTTP Activity (4002) and Network Activity (4001) of OCSF: requests, leases, and who was refused.
import { entryOf, headerOf, present, queryOf, redacted } from '../facts.ts'
import type { Fields } from './fields.ts'
import { actor, balanced, endpoint, hostOf, itself, source, type Told } from './parts.ts'

const http = 4002
const network = 4001
const other = 99

const activities: Readonly<Record<string, number>> = {
  CONNECT: 1,
  DELETE: 2,
  GET: 3,
  HEAD: 4,
  OPTIONS: 5,
  POST: 6,
  PUT: 7,
  TRACE: 8,
  PATCH: 9,
}

/** A request that came in, or is over. */
export function request(fields: Fields): Told {
  const method = fields.look('http.request.method')
  const activity = entryOf(activities, method) ?? other
  const status = fields.int('http.response.status_code')
  const trace = fields.text('trace_id')
  // Whom the host knows the client to be.
  const who = actor(fields, 'app.principal')
  const [version, cipher] = [fields.text('tls.protocol.version'), fields.look('tls.cipher')]
  return {
    class: http,
    activity,
    profiles: ['load_balancer', ...hosted(who), ...(trace === undefined ? [] : ['trace'])],
    attributes: present({
      ...who,
      src_endpoint: source(fields),
      dst_endpoint: itself(fields),
      duration: fields.ms('lb.timing.total_us'),
      http_request: present({
        uid: fields.text('lb.request_id'),
        // Only methods that the class knows; any other is in `activity_name`.
        http_method: activity === other ? undefined : fields.text('http.request.method'),
        url: urlOf(fields),
        user_agent: headerOf(fields.event, 'user-agent'),
        referrer: headerOf(fields.event, 'referer'),
        version: fields.text('network.protocol.version'),
        body_length: fields.int('http.request.body.size'),
        http_headers: headersOf(fields.value('http.request.header')),
      }),
      http_response:
        status === undefined
          ? undefined
          : present({
              code: status,
              body_length: fields.int('http.response.body.size'),
              latency: fields.ms('lb.timing.first_byte_us'),
              http_headers: headersOf(fields.value('http.response.header')),
            }),
      http_status: status,
      load_balancer: balanced(fields),
      status_code: fields.text('lb.result'),
      status_detail: fields.text('lb.detail'),
      tls: version === undefined ? undefined : present({ version, cipher }),
      trace: trace === undefined ? undefined : { uid: trace },
    }),
  }
}

/** An actor has a place in these classes by that profile alone. */
const hosted = (who: object): string[] => ('actor' in who ? ['host'] : [])

function urlOf(fields: Fields): object | undefined {
  const path = fields.text('url.path')
  fields.value('url.query')
  return path === undefined
    ? undefined
    : present({ path, query_string: queryOf(fields.event), hostname: hostOf(fields) })
}

const headersOf = (header: unknown): object[] | undefined =>
  header === undefined
    ? undefined
    : Object.entries(Object(header) as object).flatMap(([name, values]) =>
        (Array.isArray(values) ? values : [redacted]).map((value) => ({ name, value: String(value) })),
      )

/** A lease, a tunnel or a copy: what the balancer did besides answering. */
export const routed =
  (activity: number) =>
  (fields: Fields): Told => ({
    class: network,
    activity,
    profiles: ['load_balancer'],
    attributes: present({
      src_endpoint: source(fields),
      dst_endpoint: itself(fields),
      duration: fields.ms('lb.duration_us'),
      load_balancer: balanced(fields),
      status_code: fields.text('lb.result'),
    }),
  })

/** Somebody was refused: at the connection, at a request, or at a change. */
export function denied(fields: Fields): Told {
  const phase = fields.look('access.phase')
  const id = fields.text('lb.request_id')
  const rule = fields.text('access.rule')
  const common = present({
    action: 'Denied',
    action_id: 2,
    count: fields.int('access.count'),
    disposition: 'Blocked',
    disposition_id: 2,
    policy: rule === undefined ? undefined : { name: rule, is_applied: true },
    src_endpoint: source(fields),
    status_code: rule,
    status_detail: fields.text('access.detail'),
  })
  const asked = id === undefined ? {} : { http_request: { uid: id } }
  const who = actor(fields)
  if (phase === 'admin') {
    const entity = { name: fields.look('lb.pool') ?? fields.look('service.name') ?? 'auditlb', type: 'Configuration' }
    return {
      class: 3004,
      activity: 3,
      profiles: ['security_control'],
      attributes: { ...common, ...who, ...asked, entity },
    }
  }
  const attributes = { ...common, ...who, dst_endpoint: itself(fields) }
  const profiles = ['security_control', ...hosted(who)]
  return phase === 'request' && id !== undefined
    ? { class: http, activity: 0, profiles, attributes: { ...attributes, ...asked } }
    : { class: network, activity: 5, profiles, attributes }
}

/** A probe of a backend: a request of the balancer's own, which has no line of its own in HTTP. */
export const probed = (fields: Fields): Told => ({
  class: network,
  activity: other,
  profiles: ['load_balancer'],
  attributes: present({
    src_endpoint: itself(fields),
    dst_endpoint: endpoint(undefined, undefined, fields.text('backend.id')),
    duration: fields.ms('backend.duration_us'),
    load_balancer: balanced(fields),
    status_detail: fields.text('backend.last_error'),
  }),
})
