// What users hand to every adapter, looked at before the first request comes.
import { z } from 'zod'
import { BalancerError } from '../../errors.ts'
import type { Balancer } from '../../face.ts'

export const isBalancer = (given: unknown): given is Balancer =>
  typeof given === 'object' && given !== null && 'port' in given && typeof given.port === 'object'

/** Throws `config-invalid` for what is no balancer. */
export function mustBeBalancer(given: unknown, where: string): void {
  if (!isBalancer(given)) throw new BalancerError('config-invalid', `${where} takes a balancer`)
}

export const anyFunction = z.custom<unknown>((value) => typeof value === 'function', 'expected a function')
