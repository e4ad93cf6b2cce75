// Objects of OCSF that several classes have: endpoints, users, what a load balancer did.
import { entryOf, headerOf, ipOf, present } from '../facts.ts'
import type { Fields } from './fields.ts'

/** What a class makes of an event. */
export interface Told {
  /** The `uid` of the class, such as 4002. */
  readonly class: number
  /** An activity of the class; 99 is one that it does not have. */
  readonly activity: number
  readonly profiles?: readonly string[]
  /** The attributes besides those that every event has. */
  readonly attributes: object
}

const host = /^[A-Za-z0-9._-]{1,253}$/

/** A network endpoint, by whatever is known of its address: an IP address, a name, or what stands in the place of one. */
export function endpoint(address: unknown, port: unknown, id?: unknown): object {
  const text = typeof address === 'string' ? address : undefined
  const ip = ipOf(text)
  return present({
    ip,
    hostname: ip === undefined && text !== undefined && host.test(text) ? text : undefined,
    name: ip === undefined && text !== undefined && !host.test(text) ? text : undefined,
    port: Number.isSafeInteger(port) ? port : undefined,
    uid: typeof id === 'string' ? id : undefined,
  })
}

/** Who asked: the client, and the other end of the connection where that is somebody else. */
export function source(fields: Fields): object | undefined {
  const [address, port] = [fields.text('client.address'), fields.int('client.port')]
  const [peer, peerPort] = [fields.text('network.peer.address'), fields.int('network.peer.port')]
  if (address === undefined && peer === undefined) return undefined
  const between = address === undefined || address === peer ? undefined : ipOf(peer)
  return {
    ...endpoint(address ?? peer, address === undefined ? peerPort : port),
    ...present({ intermediate_ips: between === undefined ? undefined : [between] }),
  }
}

/** Who was asked: this balancer. */
export const itself = (fields: Fields): object =>
  present({
    instance_uid: fields.look('service.instance.id'),
    name: fields.look('service.name') ?? 'auditlb',
    type: 'Load Balancer',
    type_id: 15,
    zone: fields.look('cloud.availability_zone'),
  })

/** `type_id` of a user, by the type of an actor. */
const userTypes: Readonly<Record<string, number>> = { user: 1, system: 3, service: 4 }

/** Who acted, where the event says so: a member of it that has an id and perhaps a type. */
export function actor(fields: Fields, place = 'actor'): object {
  const [id, type] = [fields.text(`${place}.id`), fields.text(`${place}.type`)]
  if (id === undefined) return {}
  return { actor: { user: present({ name: id, uid: id, type, type_id: entryOf(userTypes, type) ?? 0 }) } }
}

interface Attempt {
  readonly [key: string]: unknown
}

/** The load balancer profile: which backends were tried, and what the last of them answered. */
export function balanced(fields: Fields): object {
  const given = fields.look('lb.attempts')
  const attempts = (Array.isArray(given) ? given : []) as readonly Attempt[]
  const target = ({ peer_address, address, port, backend }: Attempt): object =>
    endpoint(peer_address ?? address, port, backend)
  const last = attempts.at(-1)
  const backend = fields.text('lb.backend') ?? fields.look('lb.decision.backend')
  const timing = Object.entries((fields.look('lb.timing') ?? {}) as object)
  return present({
    name: fields.text('lb.pool') ?? fields.look('service.name') ?? 'auditlb',
    uid: fields.look('service.instance.id'),
    code: codeOf(last),
    dst_endpoint:
      last !== undefined ? target(last) : backend === undefined ? undefined : { uid: backend, name: backend },
    endpoint_connections:
      attempts.length === 0
        ? undefined
        : attempts.map((one) => present({ code: codeOf(one), network_endpoint: target(one) })),
    error_message: fields.look('lb.result') === 'ok' ? undefined : fields.look('lb.detail'),
    metrics: timing.length === 0 ? undefined : timing.map(([name, value]) => ({ name, value: String(value) })),
    status_detail: fields.look('lb.decision.reason'),
  })
}

const codeOf = (attempt: Attempt | undefined): unknown =>
  Number.isSafeInteger(attempt?.status_code) ? attempt?.status_code : undefined

/** The name in a Host header, without its port. */
export const hostOf = (fields: Fields): string | undefined =>
  headerOf(fields.event, 'host')?.replace(/:\d+$/, '') || undefined
