// What users hand to every adapter, looked at before the first request comes.
import { Server } from 'node:net'
import { z } from 'zod'
import { BalancerError } from '../../errors.ts'
import type { Balancer } from '../../face.ts'

export const isBalancer = (given: unknown): given is Balancer =>
  typeof given === 'object' && given !== null && 'port' in given && typeof given.port === 'object'

/** Throws `config-invalid` for what is no balancer. */
export function mustBeBalancer(given: unknown, where: string): void {
  if (!isBalancer(given)) throw new BalancerError('config-invalid', `${where} takes a balancer`)
}

/** Throws `config-invalid` for what is no server of Node. */
export function mustBeServer(given: unknown): void {
  if (!(given instanceof Server))
    throw new BalancerError('config-invalid', 'attach takes a server, and a balancer: attach(server, balancer)')
}

export const anyFunction = z.custom<unknown>((value) => typeof value === 'function', 'expected a function')
