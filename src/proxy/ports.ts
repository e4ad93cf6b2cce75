// What the hop needs from the rest of the balancer: functions that `balancer.ts` hands in.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { BackendState } from '../backend.ts'
import type { Json, Written } from '../canonical.ts'
import type { Clock } from '../clock.ts'
import type { Decision, StickyVerdict } from '../decision.ts'
import type { BalancerError } from '../errors.ts'
import type { Emit, EventFields, LevelOf, RequestFacts, Ticket } from '../events.ts'
import type { AttemptResult, Ending, RetryDenial } from '../outcome.ts'
import type { PickRequest } from '../request.ts'
import type { Transport } from '../transport.ts'
import type { Trust } from './forwarded.ts'
import type { LimitsConfig } from './limits.ts'
import type { Mirrors } from './mirror.ts'
import type { OpenRequests } from './open-requests.ts'
import type { OutgoingConfig } from './outgoing-options.ts'
import type { Running } from './running.ts'
import type { Tunnels } from './tunnel.ts'
import type { UpgradesConfig } from './upgrade.ts'

type Values = Record<string, string[] | { hmac?: string; length: number }>

/** What a pick is for, where it is not the first of its request. */
export interface Turn {
  /** How many attempts of the request came before. */
  readonly retry?: number
  /** Whether the attempt runs beside one that is not over. */
  readonly hedge?: boolean
  /** What the pick before it said of the client's affinity. */
  readonly sticky?: StickyVerdict | undefined
}

interface Pick {
  readonly backend: BackendState | undefined
  readonly decision: Decision
}

/** One that waits for room. */
export interface Guest {
  /** Picks anew; returns whether it waits no more. */
  seat(): boolean
  /** It waited in vain. */
  fail(result: 'capacity-full' | 'capacity-timeout' | 'closing'): void
}

/** What may follow the first attempt of a request. */
interface Further {
  /** Counts the first attempt, and a further one. */
  first(nowUs: number): void
  extra(nowUs: number): void
  /** Whether a request of this method may be sent once more although the backend may have seen it. */
  repeats(method: string): boolean
  /** How many bytes of a request's body are kept for further attempts. */
  keptBytes(method: string): number
  /** Whether a response of this status is set aside where a retry can follow. */
  setsAside(status: number): boolean
  /** Why no retry may follow, if none may. */
  denial(facts: {
    method: string
    result: AttemptResult
    sent: boolean
    retries: number
    replayable: boolean
  }): RetryDenial | undefined
  /** How long to wait before the next hedge of a request that has had so many, in ms; undefined for no hedge. */
  hedgeDelayMs(method: string, hedges: number): number | undefined
  /** Whether the budget has room for a further one. */
  inBudget(): boolean
  /** Takes in how long a response's head was waited for. */
  waited(us: number): void
}

export interface Ports {
  readonly clock: Clock
  /** Our name in `Via`, unique to this balancer: two in a row are no loop. */
  readonly via: string
  pick(request: PickRequest, tried: readonly BackendState[], turn?: Turn): Pick
  /** Binds the client to the backend whose response it gets, where that is to be; returns the `Set-Cookie` that tells it so. */
  bind(request: PickRequest, pick: Pick): string | undefined
  /** The name of the cookie by which clients are bound: it is ours, and no backend gets it. */
  ownCookie(): string | undefined
  /** Counts a request in on a backend, and out again with how it went. */
  take(backend: BackendState): void
  release(backend: BackendState, ending: Ending): void
  /** Where a request waits for which every backend is full. */
  readonly room: {
    /** Must be called before a newcomer picks. */
    offer(): void
    /** Returns a function that gives up the place. */
    enter(guest: Guest): () => void
  }
  readonly running: Running
  readonly mirrors: Mirrors
  readonly tunnels: Tunnels
  /** The options of upgrades; undefined if none is taken. */
  upgrades(): UpgradesConfig | undefined
  transport(): Transport
  readonly further: Further
  /** Those of the attempts and of the request, in ms, where they are set. */
  timeouts(): {
    readonly tryMs?: number | undefined
    readonly totalMs?: number | undefined
    readonly requestIdleMs: number
  }
  limits(): LimitsConfig
  /** The rule that refuses this address, if one does. */
  denies(address: string): string | undefined
  /** Records a denial. */
  denied(fields: EventFields<'access.denied'>): void
  /** How requests are changed on their way, by the configuration in force. */
  outgoing(): OutgoingConfig
  /** Who is believed about the client; undefined for nobody. */
  trust(): Trust | undefined
  closing(): boolean
  emit: Emit
  /** The configuration in force, for the record. */
  stamp(): { readonly config_hash: string; readonly config_revision: number; readonly pool: string }
  readonly redactor: {
    headers(raw: readonly string[]): { values: Written; omitted: number }
    url(target: string): {
      path: string
      path_params?: Values | undefined
      query?: Values
      query_omitted?: number | undefined
    }
    /** An id that somebody else has made, as a line holds it. */
    id(id: string | undefined): string | undefined
  }
  /** How much of a request is recorded; undefined where all is, at the usual level. */
  readonly levelOf: LevelOf | undefined
  /** What the host says of a request that is recorded. */
  readonly enrich: ((facts: RequestFacts) => Json | undefined) | undefined
  readonly open: OpenRequests
  readonly log: {
    /** Whether the last byte of a response waits until its line is on disk; it does not while that is known to be in vain. */
    readonly waits: boolean
    /** Whether nothing is forwarded that was not recorded first. */
    readonly refuses: boolean
    readonly recordable: () => boolean
    durable(ticket: Ticket): Promise<void>
  }
  /** Counts the requests that are open. */
  opened(): void
  closed(): void
}

/** What was recorded of a request that was watched before it was taken over, and by whom. */
export interface HandedOver {
  readonly requestId: string
  /** The line that tells that it came in, where one does. */
  readonly told: Ticket | undefined
  readonly ports: Ports
}

/** How an adapter hands a request in. */
export interface HandleOptions {
  /** Path and query for the backend, where they differ from the request's own: a mount path is stripped. */
  readonly target?: string
  /** The target as the client sent it, where `request.url` is not it any more. */
  readonly originalTarget?: string
  /**
   * Whether its path is what let it in here: then one with dot segments is refused, which the backend would resolve to another.
   * Default: where `target` is not the target as the client sent it.
   */
  readonly mounted?: boolean
  /** The body, where something has read it before us. */
  readonly body?: Buffer
  /**
   * The route under which the host has mounted the balancer, or that it answers by itself: `http.route` in the record. A
   * function is called when the record is made: a framework may find the route after us.
   */
  readonly route?: string | (() => string | undefined)
  /**
   * Gets what failed before its response began, and has to answer it: the record waits for that. If it throws the balancer
   * answers, as it does where this is not given, and for what is not well-formed in any case.
   */
  readonly onFail?: (error: BalancerError) => void
  /** Called once a head was written: from then on the host must leave the response alone. Must not throw. */
  readonly onHead?: () => void
  /** Called with our id of it, before anything else happens. Must not throw. */
  readonly onId?: (requestId: string) => void
  /** Set by the hop: its record goes on under the id that it has. */
  readonly handedOver?: HandedOver
  /** The host's own id of it: `lb.app_request_id` in the record. */
  readonly appRequestId?: string
  /** The request as the host's framework has it, for `audit.enrich`. Default: the request itself. */
  readonly appRequest?: object
}

/** How an adapter hands in a request that asks for another protocol. */
export interface UpgradeOptions extends HandleOptions {
  /** What to answer by, where the host has made a response for its own hooks: headers that are set on it go along. */
  readonly response?: ServerResponse
}
/** A request and its response as Node's servers hand them over, in HTTP/1 or through the compatibility API of HTTP/2. */
export type AnyRequest = IncomingMessage | Http2ServerRequest
export type AnyResponse = ServerResponse | Http2ServerResponse

/** What an adapter works with: how requests come in, and how it tells of what never became one. */
export interface AdapterPort {
  /** Takes a request over: it is answered and recorded, whatever happens. Never throws. */
  handle(request: AnyRequest, response: AnyResponse, options?: HandleOptions): void
  /**
   * Takes a request over that asks for another protocol (RFC 9110 section 7.8), with its connection: it is answered and
   * recorded, whatever happens, and what the backend switches to is carried both ways. Never throws.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options?: UpgradeOptions): void
  /** Whether what this request asks for in `Upgrade` may be; if not, it is to be handed in as any other request. Never throws. */
  upgrades(request: IncomingMessage): boolean
  /**
   * Records a request that the host answers by itself, once however often it is called. Changes nothing of what the two do.
   * Returns our id of it. If a balancer takes the request over after that, the record is that balancer's. Never throws.
   */
  observe(request: AnyRequest, response: AnyResponse, options?: HandleOptions): string
  /** The same of one that asks for another protocol, until it is answered. Never throws. */
  observeUpgrade(request: IncomingMessage, socket: Duplex, options?: HandleOptions): void
  /** Watches a session of HTTP/2 from its beginning on, and ends it where its streams are broken off in a flood. */
  session(session: ServerHttp2Session): void
  /** The rule by which a connection from this address is refused, if one does. A proxy that is believed is not: its clients are. */
  denies(address: string): string | undefined
  /** Records what was refused before it was a request. */
  refused(fields: EventFields<'access.denied'>): void
}
