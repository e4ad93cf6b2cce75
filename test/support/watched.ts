// A balancer of any options, and everything that it recorded.
import { onTestFinished } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions, PoolChanges } from '../../src/config.ts'
import type { Operator } from '../../src/control/operator.ts'
import { eventSchema } from '../../src/events.ts'
import type { Balancer } from '../../src/face.ts'
import type { FakeClock } from './fake-clock.ts'
import { until } from './until.ts'

export interface Watched {
  readonly balancer: Balancer
  readonly ops: Operator<PoolChanges>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every kind.
  readonly events: any[]
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  of(name: string): any[]
}

/** Ends with the test; every event is held against its schema then. */
export function watched(options: BalancerOptions): Watched {
  const balancer = createBalancer(options)
  const events: Watched['events'] = []
  balancer.audit.on('*', (event) => void events.push(event))
  onTestFinished(async () => {
    let closed = false
    void balancer.close({ deadlineMs: 0 }).then(() => {
      closed = true
    })
    await until(() => {
      ;(options.clock as FakeClock | undefined)?.advance?.(1000)
      return closed
    })
    for (const event of events) eventSchema(event.event_name).parse(event)
  })
  return {
    balancer,
    ops: balancer.as({ id: 'ops', type: 'user' }),
    events,
    of: (name) => events.filter((event) => event.event_name === name),
  }
}

/** The code that a promise rejects with; fails the test if it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
  throw new Error('expected a rejection')
}
