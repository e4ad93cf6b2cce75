// The shape that all events share: V8 knows them by it, and works faster with objects of one shape than of many.
import type { AuditEvent } from '../events.ts'

export type Members = Readonly<Record<string, unknown>>

/** An event of these members, in the order of its line; those that it has not are undefined, and in no line. */
export const shaped = (members: Members): AuditEvent =>
  ({
    access: members.access,
    actor: members.actor,
    app: members.app,
    audit: members.audit,
    backend: members.backend,
    balancer: members.balancer,
    client: members.client,
    cloud: members.cloud,
    config: members.config,
    discovery: members.discovery,
    event_name: members.event_name,
    http: members.http,
    lb: members.lb,
    log: members.log,
    network: members.network,
    outcome: members.outcome,
    schema_version: members.schema_version,
    service: members.service,
    severity: members.severity,
    span_id: members.span_id,
    time: members.time,
    tls: members.tls,
    trace_id: members.trace_id,
    url: members.url,
  }) as unknown as AuditEvent
