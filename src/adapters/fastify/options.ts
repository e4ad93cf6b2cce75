// The options of the adapter for Fastify: the same for the versions 4 and 5.
import type {
  onRequestHookHandler,
  onResponseHookHandler,
  preHandlerHookHandler,
  preValidationHookHandler,
  RouteOptions,
} from 'fastify'
import { z } from 'zod'
import type { Balancer } from '../../face.ts'
import { parseOptions } from '../../parse.ts'
import { mustBeBalancer } from '../shared/given.ts'

export interface FastifyBalancerOptions {
  readonly balancer: Balancer
  /** Where it is mounted. Stripped from the path that the backend gets. */
  readonly prefix?: string
  /** What takes the prefix's place in the path for the backend. Default: nothing. */
  readonly rewritePrefix?: string
  /** The methods that are taken. Default: all that Node knows; under Fastify 4 all that Fastify knows. */
  readonly httpMethods?: readonly string[]
  /** Which requests are taken, as Fastify's routes tell it: `{ host: 'api.example.com' }`. Default: all. */
  readonly constraints?: RouteOptions['constraints']
  /** Hooks for what is handed over, and for nothing else; those of the app run before them. They see upgrades too. */
  readonly onRequest?: onRequestHookHandler | onRequestHookHandler[]
  readonly preValidation?: preValidationHookHandler | preValidationHookHandler[]
  readonly preHandler?: preHandlerHookHandler | preHandlerHookHandler[]
  readonly onResponse?: onResponseHookHandler | onResponseHookHandler[]
  /**
   * Who answers what failed before a response began: the balancer (`answer`), or the error handler of the app (`throw`), which
   * gets a `BalancerError`. Default: `answer`.
   */
  readonly onError?: 'answer' | 'throw'
  /** Whether requests for another protocol, WebSocket among them, are handed over, after the same hooks. Default: true. */
  readonly upgrades?: boolean
  /** Whether the balancer drains and closes when the app closes. Default: false. */
  readonly closeBalancer?: boolean
  /**
   * Records the requests that the app answers by itself, in the scope in which the plugin is registered, and hands nothing over:
   * no other option but `closeBalancer` means anything then. Default: false.
   */
  readonly auditOnly?: boolean
}

// Hooks and constraints are looked at by Fastify itself, which has options of its own among these.
const optionsSchema = z.object({
  rewritePrefix: z.string().optional(),
  httpMethods: z.array(z.string()).optional(),
  onError: z.enum(['answer', 'throw']).optional(),
  upgrades: z.boolean().optional(),
  closeBalancer: z.boolean().optional(),
  auditOnly: z.boolean().optional(),
})

/** Throws `config-invalid` for options that are not valid. */
export function checkOptions(options: FastifyBalancerOptions): void {
  mustBeBalancer(options.balancer, 'fastifyBalancer')
  parseOptions(optionsSchema, options, 'fastifyBalancer')
}
