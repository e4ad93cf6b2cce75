// The part `lb` of the line of a request that is over: how it was routed, and how that went.
import { canonical, type Json } from '../canonical.ts'
import type { AuditEvent } from '../events.ts'
import { after, before, each, eachText, number, quoted, type Some } from './line-parts.ts'
import { inOnePiece } from './one-piece.ts'

type Lb = AuditEvent<'request.completed'>['lb']
type Decision = NonNullable<Lb['decision']>
type Attempt = Lb['attempts'][number]

/** A backend as it was last written. */
interface Place {
  address: string
  port: number | undefined
  /** Up to its `connect_us`, and its port with what follows. */
  head: string
  tail: string
}
const placeOf = each((): Place => ({ address: '', port: undefined, head: '', tail: '' }))

function place(backend: string, address: string, port: number | undefined): Place {
  const known = placeOf(backend)
  if (known.head === '' || known.address !== address || known.port !== port) {
    known.address = address
    known.port = port
    known.head = inOnePiece(`{"address":${quoted(address)},"backend":${quoted(backend)},"connect_us":`)
    known.tail = inOnePiece(`${after('port', port)},"queue_us":`)
  }
  return known
}

/** How an attempt went, as it was last written for its reason. */
interface Way {
  result: string
  reused: boolean | undefined
  stale: number | undefined
  status: number | undefined
  text: string
}
const wayOf = each((): Way => ({ result: '', reused: undefined, stale: undefined, status: undefined, text: '' }))

function way({ reason, result, reused, stale, status_code: status }: Attempt): string {
  const known = wayOf(reason)
  if (
    known.result !== result ||
    known.reused !== reused ||
    known.stale !== stale ||
    known.status !== status ||
    known.text === ''
  ) {
    Object.assign(known, { result, reused, stale, status })
    known.text = inOnePiece(
      `,"reason":${quoted(reason)},"result":${quoted(result)}${after('reused', reused)}${after('stale', stale)}${after('status_code', status)}}`,
    )
  }
  return known.text
}

function attempt(given: Attempt): string {
  const { address, backend, connect_us, decision, detail, duration_us, hedge, peer_address, port, queue_us } = given
  const { head, tail } = place(backend, address, port)
  let text = head + number(connect_us)
  if (decision !== undefined) text += `,"decision":${canonical(decision as Json)}`
  if (detail !== undefined) text += `,"detail":${quoted(detail)}`
  text += `,"duration_us":${number(duration_us)}`
  if (hedge !== undefined) text += `,"hedge":${hedge}`
  if (peer_address !== undefined) text += `,"peer_address":${quoted(peer_address)}`
  return text + tail + number(queue_us) + way(given)
}

/** A decision with the configuration that it was taken under, as they were last written for its backend and reason. */
interface Choice {
  candidates: number
  snapshot: number
  strategy: string
  hash: string | undefined
  revision: number | undefined
  text: string
}
const choiceOf = each(() =>
  each((): Choice => ({ candidates: 0, snapshot: 0, strategy: '', hash: '', revision: 0, text: '' })),
)

/** `config_hash`, `config_revision` and `decision`: in most requests nobody was excluded, and nothing else is to be told. */
function choice({ config_hash: hash, config_revision: revision, decision }: Lb): string {
  if (decision === undefined || !isPlain(decision))
    return `${after('config_hash', hash)}${after('config_revision', revision)}${after('decision', decision as Some)}`
  const { backend, candidates, reason, snapshot, strategy } = decision
  const known = choiceOf(reason)(backend ?? '')
  if (
    known.candidates !== candidates ||
    known.snapshot !== snapshot ||
    known.strategy !== strategy ||
    known.hash !== hash ||
    known.revision !== revision ||
    known.text === ''
  ) {
    Object.assign(known, { candidates, snapshot, strategy, hash, revision })
    known.text = inOnePiece(
      `${after('config_hash', hash)}${after('config_revision', revision)},"decision":${canonical(decision as Json)}`,
    )
  }
  return known.text
}

const isPlain = (given: Decision): boolean =>
  given.backend !== undefined &&
  given.excluded.length === 0 &&
  given.excluded_count === undefined &&
  given.group === undefined &&
  given.hedge === undefined &&
  given.panic === undefined &&
  given.priority === undefined &&
  given.ramp === undefined &&
  given.retry === undefined &&
  given.sticky === undefined &&
  given.trace === undefined &&
  given.zone === undefined

/** `pool` and what stands around it. */
const poolOf = eachText((pool) => `,"pool":${quoted(pool)},"request_id":`)
const resultOf = eachText((result) => `,"result":${quoted(result)}`)

export function lbText(lb: Lb): string {
  const { attempts, client_request_id, detail, level, pool, retry_denied, timing, tunnel } = lb
  const { connect_us, first_byte_us, queue_us, total_us } = timing
  const tried = attempts.length === 1 ? attempt(attempts[0]!) : attempts.map(attempt).join(',')
  let text =
    lb.app_request_id === undefined ? '{"attempts":[' : `{${before('app_request_id', lb.app_request_id)}"attempts":[`
  text += tried
  text += client_request_id === undefined ? ']' : `]${after('client_request_id', client_request_id)}`
  text += choice(lb)
  if (detail !== undefined) text += `,"detail":${quoted(detail)}`
  text += `,"ended_by":"${lb.ended_by}"`
  if (level !== undefined) text += `,"level":"${level}"`
  text += pool === undefined ? ',"request_id":' : poolOf(pool)
  text += quoted(lb.request_id) + resultOf(lb.result)
  if (retry_denied !== undefined) text += `,"retry_denied":"${retry_denied}"`
  text += `,"timing":{"connect_us":${number(connect_us)}`
  if (first_byte_us !== undefined) text += `,"first_byte_us":${number(first_byte_us)}`
  text += `,"queue_us":${number(queue_us)},"total_us":${number(total_us)}`
  return tunnel === undefined ? `${text}}}` : `${text}}${after('tunnel', tunnel)}}`
}
