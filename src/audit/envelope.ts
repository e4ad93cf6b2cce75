// The envelope: what every event says besides its own fields.
import type { Clock } from '../clock.ts'
import { type AuditEvent, type EventFields, type EventName, eventTable, severity } from '../events.ts'
import { uniqueId } from '../random.ts'
import { host, pid } from '../runtime.ts'
import type { LogName } from '../sink.ts'
import type { AuditConfig } from './options.ts'
import { showing, visible } from './text.ts'

export class Envelope {
  readonly #clock: Clock
  readonly #cloud: AuditConfig['cloud']
  readonly #bootId = uniqueId()
  /** The text of the present millisecond: many events share one. */
  #time = { ms: 0, text: '' }
  /** Shared by all events; replaced when the log tells the name of this writer. */
  service: { instance: { id: string }; name: string }

  constructor(clock: Clock, service: string, cloud: AuditConfig['cloud']) {
    this.#clock = clock
    this.#cloud = cloud
    this.service = { instance: { id: `${host()}.${pid}` }, name: service }
  }

  instance(id: string): void {
    this.service = { instance: { id }, name: this.service.name }
  }

  /** All events have the same members in the order of their lines; those that one has not are undefined, and in no line. */
  wrap<N extends EventName>(name: N, fields: EventFields<N>): AuditEvent {
    const ms = this.#clock.now()
    if (ms !== this.#time.ms) this.#time = { ms, text: new Date(ms).toISOString() }
    const given = fields as Readonly<Record<string, unknown>>
    return {
      access: given.access === undefined ? undefined : shownParts(given.access, showing, ['detail']),
      actor: given.actor === undefined ? undefined : shownParts(given.actor, visible, ['id', 'auth']),
      app: given.app,
      audit: { boot_id: this.#bootId, index: undefined, mono_us: this.#clock.monoUs(), origin: undefined },
      backend: given.backend === undefined ? undefined : shownParts(given.backend, showing, ['last_error']),
      balancer: given.balancer,
      client: given.client,
      cloud: this.#cloud,
      config: given.config === undefined ? undefined : configOf(given.config),
      discovery: given.discovery === undefined ? undefined : discoveryOf(given.discovery),
      event_name: name,
      http: given.http,
      lb: given.lb,
      log: given.log === undefined ? undefined : shownParts(given.log, showing, ['hold', 'last_error', 'reason']),
      network: given.network,
      outcome: given.outcome ?? 'success',
      schema_version: 1,
      service: this.service,
      severity: given.severity ?? severityOf(name),
      span_id: given.span_id,
      time: this.#time.text,
      tls: given.tls === undefined ? undefined : tlsOf(given.tls as object),
      trace_id: given.trace_id,
      url: given.url,
    } as unknown as AuditEvent
  }
}

// Who acted, and what they said, come in the host's own words. Done here, so that one actor has one spelling in all events.
const configOf = (config: unknown): object =>
  shownParts(shownParts(config, visible, ['message', 'ticket']), showing, ['detail'])

// Whoever signs certificates need not care what stands in a subject.
const tlsOf = (tls: object): object =>
  'client' in tls && tls.client !== undefined ? { ...tls, client: shownParts(tls.client, showing, ['subject']) } : tls

// Paths and places in files, and what others answered.
function discoveryOf(discovery: unknown): object {
  const shown = shownParts(shownParts(discovery, visible, ['of']), showing, ['detail']) as { problems?: object[] }
  const { problems } = shown
  return problems === undefined
    ? shown
    : { ...shown, problems: problems.map((problem) => shownParts(problem, showing, ['path', 'message'])) }
}

function shownParts(part: unknown, show: (text: string) => string, names: readonly string[]): object {
  const copy = { ...(part as Record<string, unknown>) }
  for (const name of names) if (typeof copy[name] === 'string') copy[name] = show(copy[name])
  return copy
}

/** The log that an event goes to; the host's own go to `traffic`. */
export const logOf = (name: EventName): LogName =>
  name in eventTable ? eventTable[name as keyof typeof eventTable].log : 'traffic'

const severityOf = (name: EventName): number =>
  name in eventTable ? eventTable[name as keyof typeof eventTable].severity : severity.info
