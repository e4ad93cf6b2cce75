// The envelope: what every event says besides its own fields.
import type { Clock } from '../clock.ts'
import { type AuditEvent, type EventFields, type EventName, eventTable, severity } from '../events.ts'
import { uniqueId } from '../random.ts'
import { host, pid } from '../runtime.ts'
import type { LogName } from '../sink.ts'
import type { AuditConfig } from './options.ts'

export class Envelope {
  readonly #clock: Clock
  readonly #cloud: AuditConfig['cloud']
  readonly #bootId = uniqueId()
  /** The text of the present millisecond: many events share one. */
  #time = { ms: 0, text: '' }
  /** Shared by all events; replaced when the log tells the name of this writer. */
  service: { name: string; instance: { id: string } }

  constructor(clock: Clock, service: string, cloud: AuditConfig['cloud']) {
    this.#clock = clock
    this.#cloud = cloud
    this.service = { name: service, instance: { id: `${host()}.${pid}` } }
  }

  instance(id: string): void {
    this.service = { name: this.service.name, instance: { id } }
  }

  wrap<N extends EventName>(name: N, fields: EventFields<N>): AuditEvent {
    const ms = this.#clock.now()
    if (ms !== this.#time.ms) this.#time = { ms, text: new Date(ms).toISOString() }
    const { outcome = 'success', severity: level = severityOf(name), ...rest } = fields as EventFields<'balancer.ready'>
    return {
      audit: { boot_id: this.#bootId, index: undefined, mono_us: this.#clock.monoUs(), origin: undefined },
      ...(this.#cloud === undefined ? {} : { cloud: this.#cloud }),
      event_name: name,
      ...rest,
      outcome,
      schema_version: 1,
      service: this.service,
      severity: level,
      time: this.#time.text,
    } as unknown as AuditEvent
  }
}

/** The log that an event goes to; the host's own go to `traffic`. */
export const logOf = (name: EventName): LogName =>
  name in eventTable ? eventTable[name as keyof typeof eventTable].log : 'traffic'

const severityOf = (name: EventName): number =>
  name in eventTable ? eventTable[name as keyof typeof eventTable].severity : severity.info
