// Upgrades by mount: which balancer gets a request that asks for another protocol, and what becomes of the others.
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { BalancerError } from '../../errors.ts'
import type { Balancer } from '../../face.ts'
import { alone, claim, isRouted, own } from './claims.ts'
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
  const mounts = Object.entries(given).map(([path, balancer]) => {
    if (!path.startsWith('/') || /[?#]/.test(path) || !isBalancer(balancer))
      throw new BalancerError('config-invalid', 'attach takes a balancer, or balancers by path: { "/api": balancer }')
    return { path: path.replace(/\/+$/, ''), balancer }
  })
  if (mounts.length === 0) throw new BalancerError('config-invalid', 'attach got no balancer')
  return mounts.sort((a, b) => b.path.length - a.path.length)
}

const isBalancer = (given: unknown): given is Balancer =>
  typeof given === 'object' && given !== null && 'port' in given && typeof given.port === 'object'

/** A mount that a target is below, and what is left of the target there. */
interface Place extends Mount {
  readonly target: string
}

/**
 * The longest mount that the path of this target begins with, in whole segments. A path with dot segments below a mount is
 * given as a relative reference, which the gate refuses: the backend would resolve them, and leave what it is mounted on.
 */
function placeOf(mounts: readonly Mount[], target: string): Place | undefined {
  const [, authority = '', path = '', query = ''] = /^(https?:\/\/[^/?]+)?([^?]*)(.*)$/is.exec(target) ?? []
  const mount = mounts.find((one) => one.path === '' || path === one.path || path.startsWith(`${one.path}/`))
  if (mount === undefined || mount.path === '') return mount && { ...mount, target }
  const rest = path.slice(mount.path.length)
  const below = `${authority}${rest === '' ? '/' : rest}${query}`
  return { ...mount, target: hasDotSegment(below) ? `.${below}` : below }
}

/** Whether the path has a segment `.` or `..` as any backend may read one: with escapes, backslashes, or parameters behind it. */
const hasDotSegment = (target: string): boolean =>
  /^[^?]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;?]|%2f|%5c|%3b|$)/i.test(target)

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
    // The whole server is not meant where the balancer is mounted in an app whose hooks say who may reach it.
    const open = mounts.filter(({ path, balancer }) => path !== '' || !isRouted(server, balancer))
    const place = placeOf(open, url)
    if ((place === undefined && !alone(server)) || !claim(request)) return
    const port = (place ?? mounts[0]!).balancer.port
    if ((place === undefined || !port.upgrades(request)) && isRewritable(request))
      return ignoreUpgrade(server, request, socket, head)
    const { path: route = '', target = url } = place ?? {}
    port.upgrade(request, socket, head, route === '' ? {} : { target, originalTarget: url, route })
  })
  server.on('upgrade', take)
}
