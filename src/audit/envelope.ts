// The envelope: what every event says besides its own fields.
import type { Clock } from '../clock.ts'
import { type AuditEvent, type EventFields, type EventName, eventTable, severity } from '../events.ts'
import { uniqueId } from '../random.ts'
import { host, pid } from '../runtime.ts'
import type { LogName } from '../sink.ts'
import { type Members, shaped } from './shape.ts'
import { showing, visible } from './text.ts'

export class Envelope {
  readonly #clock: Clock
  readonly #cloud: AuditEvent['cloud']
  readonly #bootId = uniqueId()
  /** The text of the present millisecond: many events share one. */
  #time = { ms: 0, text: '' }
  /** Shared by all events; replaced when the log tells the name of this writer. */
  service: { instance: { id: string }; name: string }

  constructor(clock: Clock, service: string, cloud: AuditEvent['cloud']) {
    this.#clock = clock
    this.#cloud = cloud
    this.service = { instance: { id: `${host()}.${pid}` }, name: service }
  }

  instance(id: string): void {
    this.service = { instance: { id }, name: this.service.name }
  }

  /** The event of these fields, which has no place yet. */
  wrap<N extends EventName>(name: N, fields: EventFields<N>): AuditEvent {
    const ms = this.#clock.now()
    if (ms !== this.#time.ms) this.#time = { ms, text: new Date(ms).toISOString() }
    const audit = { boot_id: this.#bootId, index: undefined, mono_us: this.#clock.monoUs(), origin: undefined }
    if (name === 'request.completed') return this.#completed(fields as EventFields<'request.completed'>, audit)
    const given = fields as Members
    return shaped({
      ...shownMembers(given),
      audit,
      cloud: this.#cloud,
      event_name: name,
      outcome: given.outcome ?? 'success',
      schema_version: 1,
      service: this.service,
      severity: given.severity ?? severityOf(name),
      time: this.#time.text,
    })
  }

  /** What `shaped` makes of the same members: nearly all events are such, and each look for a member that they never have costs. */
  #completed(given: EventFields<'request.completed'>, audit: object): AuditEvent {
    return {
      access: undefined,
      actor: undefined,
      app: given.app,
      audit,
      backend: undefined,
      balancer: undefined,
      client: given.client,
      cloud: this.#cloud,
      config: undefined,
      discovery: undefined,
      event_name: 'request.completed',
      http: given.http,
      lb: given.lb,
      log: undefined,
      network: given.network,
      outcome: given.outcome ?? 'success',
      schema_version: 1,
      service: this.service,
      severity: given.severity ?? severity.info,
      span_id: given.span_id,
      time: this.#time.text,
      tls: given.tls === undefined ? undefined : tlsOf(given.tls),
      trace_id: given.trace_id,
      url: given.url,
    } as unknown as AuditEvent
  }
}

/** The members with the words of others in them that may be shown. */
function shownMembers(given: Members): Members {
  const shown: Record<string, unknown> = { ...given }
  if (given.access !== undefined) shown.access = shownParts(given.access, showing, ['detail'])
  if (given.actor !== undefined) shown.actor = shownParts(given.actor, visible, ['id', 'auth'])
  if (given.backend !== undefined) shown.backend = shownParts(given.backend, showing, ['last_error'])
  if (given.config !== undefined) shown.config = configOf(given.config)
  if (given.discovery !== undefined) shown.discovery = discoveryOf(given.discovery)
  if (given.log !== undefined) shown.log = ofLog(given.log)
  if (given.tls !== undefined) shown.tls = tlsOf(given.tls as object)
  return shown
}

const ofLog = (log: unknown): object =>
  shownParts(shownParts(log, visible, ['by', 'message', 'reason', 'lifted_by', 'lifted_reason']), showing, [
    'hold',
    'last_error',
  ])

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

const logs = new Map<string, LogName>(Object.entries(eventTable).map(([name, { log }]) => [name, log]))

/** The log that an event goes to; the host's own go to `traffic`. */
export const logOf = (name: EventName): LogName => logs.get(name) ?? 'traffic'

const severityOf = (name: EventName): number =>
  name in eventTable ? eventTable[name as keyof typeof eventTable].severity : severity.info
