// The words of OCSF 1.8.0: which class an event is, and the attributes that all classes have.
import { summary } from '../../log/summary.ts'
import type { LineEvent } from '../../sink.ts'
import { version } from '../../version.ts'
import { entryOf, lineOf, logOf, present, severityOf, timeOf, uidOf } from './facts.ts'
import {
  anything,
  configured,
  healthChanged,
  holdChanged,
  keyRotated,
  lived,
  logged,
  topology,
} from './ocsf/control.ts'
import { Fields } from './ocsf/fields.ts'
import { denied, probed, request, routed } from './ocsf/network.ts'
import type { Told } from './ocsf/parts.ts'

/** By the beginning of an event's name; the first that fits. */
const classes: readonly (readonly [beginning: string, tell: (fields: Fields) => Told])[] = [
  ['request.mirrored', routed(99)],
  ['request.', request],
  ['tunnel.opened', routed(1)],
  ['route.', routed(99)],
  ['access.denied', denied],
  ['backend.probed', probed],
  ['backend.health_changed', healthChanged],
  ['topology.changed', topology],
  ['config.', configured],
  ['balancer.started', lived(3)],
  ['balancer.ready', lived(6)],
  ['balancer.draining', lived(7)],
  ['balancer.stopped', lived(4)],
  ['discovery.', lived(99)],
  ['health.', lived(99)],
  ['pool.', lived(99)],
  ['audit.key_rotated', keyRotated],
  ['audit.opened', logged(6)],
  ['audit.closed', logged(7)],
  ['audit.rotated', logged(5)],
  ['audit.pruned', logged(2)],
  ['audit.recovered', logged(8)],
  ['audit.hold_changed', holdChanged],
  ['audit.', logged(99)],
]

/**
 * An event in the words of OCSF 1.8.0. What has no attribute there is kept under `unmapped`, and the line itself is `raw_data`, so
 * that it can still be proved.
 */
export function toOcsf(event: LineEvent, line: string = lineOf(event)): object {
  const fields = new Fields(event)
  const name = fields.text('event_name') ?? ''
  const [, tell = anything] = classes.find(([beginning]) => name.startsWith(beginning)) ?? []
  const { class: classUid, activity, profiles, attributes } = tell(fields)
  const [time, severity] = [timeOf(event), severityOf(event)]
  fields.int('severity')
  const origin = fields.text('audit.origin')
  const status = entryOf(statuses, fields.text('outcome'))
  const metadata = present({
    correlation_uid: fields.look('lb.request_id') ?? fields.look('lb.lease_id'),
    event_code: name,
    is_truncated: fields.value('audit.truncated'),
    log_name: origin === undefined ? undefined : logOf(origin),
    log_provider: 'auditlb',
    original_time: fields.text('time'),
    product: { name: 'auditlb', vendor_name: 'auditlb', version },
    profiles,
    sequence: fields.int('audit.index'),
    uid: uidOf(event),
    version: '1.8.0',
  })
  return present({
    activity_id: activity,
    activity_name: activity === 99 ? activityOf(event, name) : undefined,
    category_uid: Math.floor(classUid / 1000),
    class_uid: classUid,
    message: summary(event),
    metadata,
    raw_data: line,
    severity_id: severityId(severity),
    status: status?.[1],
    status_id: status?.[0],
    time,
    type_uid: classUid * 100 + activity,
    ...attributes,
    unmapped: fields.rest(),
  })
}

/** What was done, where the class has no number for it: a method, or the event's own name. */
const activityOf = (event: LineEvent, name: string): string => {
  const method = new Fields(event).look('http.request.method')
  return typeof method === 'string' ? method : name
}

const statuses: Readonly<Record<string, readonly [id: number, caption: string]>> = {
  success: [1, 'Success'],
  failure: [2, 'Failure'],
  unknown: [0, 'Unknown'],
}

/** By the ranges of OpenTelemetry: informational up to INFO, medium for WARN, high for ERROR, fatal for FATAL. */
const severityId = (severity: number): number => (severity < 13 ? 1 : severity < 17 ? 3 : severity < 21 ? 4 : 6)
