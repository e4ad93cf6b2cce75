// Upgrades by mount: which balancer gets a request that asks for another protocol, and what becomes of the others.
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { BalancerError } from '../../errors.ts'
import type { Balancer } from '../../face.ts'
import { alone, claim, isRouted, own } from './claims.ts'
import { isBalancer } from './given.ts'
import { ignoreUpgrade, isRewritable } from './ignore-upgrade.ts'

/** Balancers by the paths that they are mounted on. */
export type Mounts = Readonly<Record<string, Balancer>>

export interface Mount {
  /** Without a slash at its end: empty for the whole server. */
  readonly path: string
  readonly balancer: Balancer
}

/** The mounts, the longest first. Throws `config-invalid` if they are none. */
export function mountsOf(given: Balancer | Mounts): Mount[] {
  if (isBalancer(given)) return [{ path: '', balancer: given }]
  const mounts = Object.entries(Object(given) as Mounts).map(([path, balancer]) => {
    if (!path.startsWith('/') || /[?#]/.test(path) || !isBalancer(balancer))
      throw new BalancerError('config-invalid', 'attach takes a balancer, or balancers by path: { "/api": balancer }')
    return { path: path.replace(/\/+$/, ''), balancer }
  })
  if (mounts.length === 0) throw new BalancerError('config-invalid', 'attach takes a balancer, and got none')
  return mounts.sort((a, b) => b.path.length - a.path.length)
}

/** A mount that a target is below, and what is left of the target there. */
interface Place extends Mount {
  readonly target: string
}

/** The longest mount that the path of this target begins with, in whole segments. */
export function placeOf(mounts: readonly Mount[], target: string): Place | undefined {
  const [, authority = '', path = '', query = ''] = /^(https?:\/\/[^/?]+)?([^?]*)(.*)$/is.exec(target) ?? []
  const mount = mounts.find((one) => one.path === '' || path === one.path || path.startsWith(`${one.path}/`))
  if (mount === undefined || mount.path === '') return mount && { ...mount, target }
  const rest = path.slice(mount.path.length)
  return { ...mount, target: `${authority}${rest === '' ? '/' : rest}${query}` }
}

const attached = new WeakMap<Server, Mount[]>()

/**
 * Takes the server's upgrades below these mounts over. What no balancer takes is left to the server's other listeners; where
 * there are none, and where the balancer ignores `Upgrade`, it is a request as any other (RFC 9110 section 7.8).
 */
export function takeUpgrades(server: Server, added: readonly Mount[]): void {
  const known = attached.get(server)
  if (known !== undefined) {
    known.push(...added)
    known.sort((a, b) => b.path.length - a.path.length)
    return
  }
  const mounts = [...added]
  attached.set(server, mounts)
  const take = own((request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { url = '' } = request
    const found = placeOf(mounts, url)
    // To take it for the whole server would go past the hooks of the framework that has it.
    const place = found?.path === '' && isRouted(server) ? undefined : found
    if ((place === undefined && !alone(server)) || !claim(request)) return
    const port = (place ?? mounts[0]!).balancer.port
    if ((place === undefined || !port.upgrades(request)) && isRewritable(request))
      return ignoreUpgrade(server, request, socket, head)
    const { path: route = '', target = url } = place ?? {}
    port.upgrade(request, socket, head, route === '' ? {} : { target, originalTarget: url, route })
  })
  server.on('upgrade', take)
}
