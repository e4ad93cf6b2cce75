// A balancer with its server, and what it recorded.
import type { Server } from 'node:http'
import { expect, onTestFinished } from 'vitest'
import { createServer } from '../../src/adapters/node.ts'
import type { BackendOptions } from '../../src/backend.ts'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { type AuditEvent, eventSchema } from '../../src/events.ts'
import type { Balancer } from '../../src/face.ts'
import type { Strategy } from '../../src/strategy.ts'
import { closeAfterTest, listen } from './closing.ts'
import { until } from './until.ts'

type Completed = AuditEvent<'request.completed'>
type Denied = AuditEvent<'access.denied'>

export interface Recorded {
  readonly balancer: Balancer
  readonly events: AuditEvent[]
  readonly completions: () => Completed[]
  readonly denials: () => Denied[]
  /** Resolves with the records of requests once there are so many, and nothing is in flight any more. */
  completed(count?: number): Promise<Completed[]>
  /** The record of the only request. */
  one(): Promise<Completed>
  /** Resolves with the denials once there are so many. */
  denied(count?: number): Promise<Denied[]>
}

/** Takes the first that it may: a test knows who is next. */
const inOrder: Strategy = { name: 'in-order', pick: (candidates, draft) => candidates.find((one) => draft.admits(one)) }

/** A backend of a test, with what is declared of it besides its URL. */
interface Declared {
  readonly url: string
  readonly options?: Omit<Exclude<BackendOptions, string>, 'url'>
}
type Given = Omit<BalancerOptions, 'backends'> & { backends: readonly (Declared | string)[] }

let usual: BalancerOptions['transport'] = 'direct'

/** The transport of every balancer of this file of tests that is not given one. */
export const useTransport = (transport: BalancerOptions['transport']): void => {
  usual = transport
}

/** Starts a balancer and listens to its audit; both end with the test. Every event is held against its schema. */
export function recorded({ backends, ...options }: Given): Recorded {
  const balancer = createBalancer({
    backends: backends.map((given) => (typeof given === 'string' ? given : { url: given.url, ...given.options })),
    strategy: inOrder,
    transport: usual,
    ...options,
  })
  const events: AuditEvent[] = []
  balancer.audit.on('*', (event) => void events.push(event))
  onTestFinished(async () => {
    await balancer.close({ deadlineMs: 0 })
    for (const event of events) eventSchema(event.event_name).parse(JSON.parse(JSON.stringify(event)))
  })
  const named = <N extends AuditEvent['event_name']>(name: N) =>
    events.filter((event): event is AuditEvent<N> & AuditEvent => event.event_name === name)
  const completions = () => named('request.completed') as Completed[]
  const denials = () => named('access.denied') as Denied[]
  const completed = async (count = 1): Promise<Completed[]> => {
    await until(() => completions().length >= count && balancer.snapshot().inFlight === 0)
    expect(
      balancer
        .snapshot()
        .backends.map(({ inFlight }) => inFlight)
        .filter((n) => n !== 0),
    ).toEqual([])
    expect(completions()).toHaveLength(count)
    return completions()
  }
  return {
    balancer,
    events,
    completions,
    denials,
    completed,
    one: async () => (await completed(1))[0]!,
    async denied(count = 1) {
      await until(() => denials().length >= count)
      expect(denials()).toHaveLength(count)
      return denials()
    },
  }
}

export interface Edge extends Recorded {
  readonly port: number
  readonly server: Server
}

/** The whole of it: a balancer behind `createServer` on a free port. */
export async function edge(backends: Given['backends'], options: Omit<Given, 'backends'> = {}): Promise<Edge> {
  const record = recorded({ backends, ...options })
  const server = createServer(record.balancer)
  closeAfterTest(server)
  const port = await listen(server)
  return { ...record, port, server }
}
