// Those that record: each gets requests that are over.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { auditSchema, fileSink, Journal, OpenRequests, systemClock, Trail } from '../.cache/event/subjects.js'

const stamp = Object.freeze({ config_hash: 'a'.repeat(64), config_revision: 3, pool: 'edge' })
const nothing = () => undefined

/** What the hop does for each request anyway. */
function journals(trail) {
  const ports = {
    clock: systemClock,
    open: new OpenRequests(systemClock),
    running: { add: nothing, delete: nothing },
    release: nothing,
    levelOf: undefined,
    enrich: undefined,
    stamp: () => stamp,
    redactor: trail.extent.redactor,
    emit: (event, fields) => trail.emit(event, fields),
  }
  return ({ facts, attempt }) => {
    const journal = new Journal(ports, facts)
    attempt.startUs = journal.startUs
    attempt.headUs += journal.startUs
    journal.target = facts.target
    journal.began(attempt)
    journal.won(attempt)
    journal.ended(attempt, 'ok', undefined)
    journal.result = 'ok'
    return journal
  }
}

const trailIn = (sinks) => new Trail(auditSchema.parse({ sinks }), 'bench')

async function ours(dir, sinks) {
  const trail = trailIn(sinks)
  await trail.ready()
  const journal = journals(trail)
  const segments = () => {
    const [instance] = readdirSync(dir)
    const folder = join(dir, instance, 'traffic', 'segments')
    return readdirSync(folder).map((segment) => join(folder, segment))
  }
  let ticket
  trail.on('audit.gap', ({ log }) => {
    throw new Error(`${log.count} events were lost`)
  })
  return {
    record(request) {
      ticket = journal(request).completed(200, 0, 1024)
    },
    settle: () => trail.durable(ticket),
    async close() {
      const { undelivered } = await trail.close()
      if (Object.keys(undelivered).length > 0) throw new Error('not all of it was written')
    },
    files: sinks.length === 0 ? () => [] : segments,
  }
}

const kept = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-length',
  'content-type',
  'host',
  'user-agent',
])

/** The same fields, as somebody would write them who logs with pino. */
function fieldsOf({ facts, attempt }, endUs) {
  const header = {}
  for (let i = 0; i < facts.rawHeaders.length; i += 2) {
    const name = facts.rawHeaders[i].toLowerCase()
    const value = facts.rawHeaders[i + 1]
    header[name] = kept.has(name) ? [value] : { length: value.length }
  }
  const [path, search] = facts.target.split('?')
  const query = search && Object.fromEntries([...new URLSearchParams(search)].map(([k, { length }]) => [k, { length }]))
  const { id, address, port } = attempt.backend.config
  const { reason, candidates, excluded, snapshot, strategy } = attempt.decision
  return {
    event_name: 'request.completed',
    client: facts.client,
    http: {
      request: { body: { size: 0 }, header, method: facts.request.method },
      response: { body: { size: 1024 }, status_code: 200 },
    },
    lb: {
      attempts: [
        {
          address,
          backend: id,
          connect_us: 0,
          duration_us: endUs - attempt.startUs,
          port,
          queue_us: 0,
          reason,
          result: 'ok',
          reused: true,
          status_code: 200,
        },
      ],
      ...stamp,
      decision: { backend: id, candidates, excluded, reason, snapshot, strategy },
      ended_by: 'backend',
      request_id: facts.requestId,
      result: 'ok',
      timing: {
        connect_us: 0,
        first_byte_us: attempt.headUs - attempt.startUs,
        queue_us: 0,
        total_us: endUs - attempt.startUs,
      },
    },
    network: { peer: facts.peer, protocol: { name: 'http', version: '1.1' } },
    outcome: 'success',
    url: { path, query },
  }
}

export const subjects = {
  /** What all the others do besides. */
  async nothing() {
    const trail = trailIn([])
    await trail.ready()
    const journal = journals(trail)
    return {
      record: (request) => journal(request).drop(),
      settle: async () => undefined,
      close: () => trail.close(),
      files: () => [],
    }
  },
  auditlb: (dir) => ours(dir, [fileSink({ dir })]),
  'auditlb, no sink': (dir) => ours(dir, []),
  async pino(dir) {
    const file = pino.destination({ dest: join(dir, 'log'), sync: false, minLength: 4096 })
    await new Promise((resolve) => file.once('ready', resolve))
    const log = pino({}, file)
    const journal = journals(trailIn([]))
    return {
      record(request) {
        journal(request).drop()
        log.info(fieldsOf(request, systemClock.monoUs()))
      },
      settle: async () => undefined,
      close: () =>
        new Promise((resolve) => {
          file.once('close', resolve)
          file.end()
        }),
      files: () => [join(dir, 'log')],
    }
  },
}
