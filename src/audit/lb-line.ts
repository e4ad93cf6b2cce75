// The part `lb` of the line of a request that is over: how it was routed, and how that went.
import { canonical, type Json } from '../canonical.ts'
import type { AuditEvent } from '../events.ts'
import { inOnePiece } from '../one-piece.ts'
import { after, before, each, eachText, number, quoted, type Some } from './line-parts.ts'

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
  /** The same around `duration_us`, where nothing was waited for. */
  headAtOnce: string
  tailAtOnce: string
}
const placeOf = each(
  (): Place => ({ address: '', port: undefined, head: '', tail: '', headAtOnce: '', tailAtOnce: '' }),
)

function place(backend: string, address: string, port: number | undefined): Place {
  const known = placeOf(backend)
  if (known.head === '' || known.address !== address || known.port !== port) {
    known.address = address
    known.port = port
    known.head = inOnePiece(`{"address":${quoted(address)},"backend":${quoted(backend)},"connect_us":`)
    known.tail = inOnePiece(`${after('port', port)},"queue_us":`)
    known.headAtOnce = inOnePiece(`${known.head}0,"duration_us":`)
    known.tailAtOnce = inOnePiece(`${known.tail}0`)
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
  const { head, tail, headAtOnce, tailAtOnce } = place(backend, address, port)
  const plain = decision === undefined && detail === undefined && hedge === undefined && peer_address === undefined
  if (plain && connect_us === 0 && queue_us === 0) return headAtOnce + number(duration_us) + tailAtOnce
  let text = head + number(connect_us)
  if (decision !== undefined) text += `,"decision":${canonical(decision as Json)}`
  if (detail !== undefined) text += `,"detail":${quoted(detail)}`
  text += `,"duration_us":${number(duration_us)}`
  if (hedge !== undefined) text += `,"hedge":${hedge}`
  if (peer_address !== undefined) text += `,"peer_address":${quoted(peer_address)}`
  return text + tail + number(queue_us)
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

/** What stands between the last attempt's times and the id, as it was last written for a choice. */
interface Middle {
  way: string
  endedBy: string
  pool: string | undefined
  text: string
}
const middleOf = each((): Middle => ({ way: '', endedBy: '', pool: undefined, text: '' }))

function middle(way: string, choice: string, endedBy: string, pool: string | undefined): string {
  const known = middleOf(choice)
  if (known.way !== way || known.endedBy !== endedBy || known.pool !== pool) {
    Object.assign(known, { way, endedBy, pool })
    known.text = inOnePiece(`${way}]${choice},"ended_by":"${endedBy}"${after('pool', pool)},"request_id":`)
  }
  return known.text
}

const resultOf = eachText((result) => `,"result":${quoted(result)}`)

const attemptAndWay = (one: Attempt): string => attempt(one) + way(one)

export function lbText(lb: Lb): string {
  const { attempts, client_request_id, detail, level, pool, retry_denied, timing, tunnel } = lb
  const { connect_us, first_byte_us, queue_us, total_us } = timing
  let text =
    lb.app_request_id === undefined ? '{"attempts":[' : `{${before('app_request_id', lb.app_request_id)}"attempts":[`
  const [only] = attempts
  if (attempts.length === 1 && client_request_id === undefined && detail === undefined && level === undefined)
    text += attempt(only!) + middle(way(only!), choice(lb), lb.ended_by, pool)
  else {
    text += `${attempts.map(attemptAndWay).join(',')}]${after('client_request_id', client_request_id)}`
    text += `${choice(lb)}${after('detail', detail)},"ended_by":"${lb.ended_by}"`
    text += `${after('level', level)}${after('pool', pool)},"request_id":`
  }
  text += quoted(lb.request_id) + resultOf(lb.result)
  if (retry_denied !== undefined) text += `,"retry_denied":"${retry_denied}"`
  text += connect_us === 0 ? ',"timing":{"connect_us":0' : `,"timing":{"connect_us":${number(connect_us)}`
  if (first_byte_us !== undefined) text += `,"first_byte_us":${number(first_byte_us)}`
  text += queue_us === 0 ? ',"queue_us":0,"total_us":' : `,"queue_us":${number(queue_us)},"total_us":`
  text += number(total_us)
  return tunnel === undefined ? `${text}}}` : `${text}}${after('tunnel', tunnel)}}`
}
