// Requests for an upgrade of which several listeners of ours may hear: one of them takes each.
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'

const claimed = new WeakSet<IncomingMessage>()

/** Takes a request; false where another one of ours has taken it. */
export function claim(request: IncomingMessage): boolean {
  if (claimed.has(request)) return false
  claimed.add(request)
  return true
}

const ours = new WeakSet<object>()

/** Marks a listener of upgrades as ours. */
export function own<L extends object>(listener: L): L {
  ours.add(listener)
  return listener
}

/** Whether nobody but us listens for upgrades: what we do not take is lost then. */
export const alone = (server: Server): boolean => server.listeners('upgrade').every((listener) => ours.has(listener))

const routed = new WeakSet<Server>()

/** Notes that a framework routes the requests of a server: its upgrades pass the hooks there, and are not taken for the whole server. */
export const routes = (server: Server): void => void routed.add(server)
export const isRouted = (server: Server): boolean => routed.has(server)
