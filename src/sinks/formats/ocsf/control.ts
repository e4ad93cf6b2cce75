// Entity Management (3004), Application Lifecycle (6002) and Event Log Activity (1008) of OCSF: what is not traffic.
import { entryOf, holdActorOf, logOf, present, textAt } from '../facts.ts'
import type { Fields } from './fields.ts'
import { actor, type Told } from './parts.ts'

const entityManagement = 3004
const applicationLifecycle = 6002
const eventLogActivity = 1008
const other = 99

/** A change of the configuration, made or refused. */
export function configured(fields: Fields): Told {
  const revision = fields.int('config.revision')
  const [before, after] = [fields.value('config.before'), fields.value('config.after')]
  const name = fields.text('lb.pool') ?? fields.look('service.name') ?? 'auditlb'
  const entity = (data: unknown, version?: string): object => present({ data, name, type: 'Configuration', version })
  return {
    class: entityManagement,
    activity: 3,
    attributes: present({
      ...actor(fields),
      comment: fields.text('config.message'),
      entity: entity(before ?? fields.value('config.attempted')),
      entity_result:
        after === undefined ? undefined : entity(after, revision === undefined ? undefined : String(revision)),
      status_code: fields.text('config.code'),
      status_detail: fields.text('config.detail'),
    }),
  }
}

const changes: Readonly<Record<string, number>> = { joined: 1, left: 4, changed: 3 }

/** Discovery has found another set of backends. */
export function topology(fields: Fields): Told {
  const id = fields.text('backend.id') ?? 'backend'
  const entity = (data: unknown): object => present({ data, name: id, uid: id, type: 'Backend' })
  const after = fields.value('discovery.after')
  return {
    class: entityManagement,
    activity: entryOf(changes, fields.look('discovery.change')) ?? other,
    attributes: present({
      entity: entity(fields.value('discovery.before')),
      entity_result: after === undefined ? undefined : entity(after),
    }),
  }
}

/** The key that signs the log was changed. */
export function keyRotated(fields: Fields): Told {
  const key = (uid: string | undefined): object => present({ name: 'log signing key', uid, type: 'Key' })
  const to = fields.text('log.to')
  return {
    class: entityManagement,
    activity: 3,
    attributes: present({
      comment: fields.text('log.reason'),
      entity: key(fields.text('log.from')),
      entity_result: to === undefined ? undefined : key(to),
    }),
  }
}

/** The balancer itself: it starts, is ready, drains, stops. */
export const lived =
  (activity: number) =>
  (fields: Fields): Told => ({
    class: applicationLifecycle,
    activity,
    attributes: {
      app: present({
        name: fields.text('lb.pool') ?? fields.look('service.name') ?? 'auditlb',
        uid: fields.look('service.instance.id'),
        vendor_name: 'auditlb',
        version: fields.text('balancer.version'),
      }),
    },
  })

/** What puts a backend back into service, and what takes it out. */
const states: Readonly<Record<string, number>> = { healthy: 6, ready: 6, unhealthy: 7, ejected: 7, disabled: 7 }

/** The health of a backend has changed. */
export function healthChanged(fields: Fields): Told {
  const id = fields.text('backend.id') ?? 'backend'
  return {
    class: applicationLifecycle,
    activity: entryOf(states, fields.look('backend.to')) ?? other,
    attributes: present({
      app: { name: id, uid: id },
      status_code: fields.text('backend.cause'),
      status_detail: fields.text('backend.last_error'),
    }),
  }
}

/** The log itself. */
export const logged =
  (activity: number) =>
  (fields: Fields): Told => {
    const instance = fields.look('service.instance.id')
    return {
      class: eventLogActivity,
      activity,
      attributes: present({
        ...actor(fields),
        device: present({ name: instance, region: fields.look('cloud.region'), type_id: 1, uid: instance }),
        log_name: logOf(textAt(fields.event, 'audit.origin') ?? '') || undefined,
        log_provider: 'auditlb',
        log_type: 'Application',
        log_type_id: 2,
        status_detail: fields.text('log.last_error'),
      }),
    }
  }

/** A legal hold was placed or lifted, by somebody who has no type. */
export function holdChanged(fields: Fields): Told {
  const told = logged(other)(fields)
  const place = holdActorOf(fields.event)
  const name = place === undefined ? undefined : fields.text(place)
  if (name === undefined) return told
  return { ...told, attributes: { ...told.attributes, actor: { user: { name, uid: name, type_id: 0 } } } }
}

/** What no class fits: the host's own events. */
export const anything = (): Told => ({ class: 0, activity: other, attributes: {} })
