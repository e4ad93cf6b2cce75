// Upgrades below the mounts of an app: they take the way of every request, through the router and the hooks.
import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { alone, claim, own } from '../shared/claims.ts'
import { ignoreUpgrade, isRewritable } from '../shared/ignore-upgrade.ts'

/** A place in an app that takes upgrades. */
export interface UpgradeMount {
  holds(url: string): boolean
  /** Whether what a request asks for may be. */
  upgrades(request: IncomingMessage): boolean
  /** Hands a request to the router of the app. */
  routing(request: IncomingMessage, response: ServerResponse): void
}

/** What came behind the head of each request for an upgrade. */
const heads = new WeakMap<IncomingMessage, Buffer>()

/** What came behind the head of a request; undefined if it is no upgrade. */
export const upgradeHead = (request: IncomingMessage): Buffer | undefined => heads.get(request)

const mounts = new WeakMap<Server, Set<UpgradeMount>>()

/** Takes the upgrades below this mount, until the function that it returns is called. One listener serves all mounts of a server. */
export function takeUpgrades(server: Server, mount: UpgradeMount): () => void {
  const all = mounts.get(server) ?? new Set()
  if (!mounts.has(server)) {
    mounts.set(server, all)
    // First, so that what is below a mount passes its hooks, whoever else listens.
    server.prependListener(
      'upgrade',
      own((request: IncomingMessage, socket: Socket, head: Buffer) => {
        heads.set(request, head)
        const holder = [...all].find((one) => one.holds(request.url ?? ''))
        if (holder !== undefined) claim(request)
        // After the other listeners: a plugin that brings WebSockets to Fastify routes every upgrade of the app, ours among them.
        queueMicrotask(() => {
          if (holder !== undefined)
            return inTurn(request, socket, () => {
              if (holder.upgrades(request) || !isRewritable(request)) route(holder, request, socket)
              else ignoreUpgrade(server, request, socket, head)
            })
          // Node calls nobody else where somebody listens: without us this had been a request as any other.
          if (!alone(server) || !claim(request)) return
          if (isRewritable(request)) return ignoreUpgrade(server, request, socket, head)
          // One that cannot be handed back whole is answered by the app, and its connection is closed.
          const [any] = all
          if (any !== undefined) inTurn(request, socket, () => route(any, request, socket))
        })
      }),
    )
  }
  all.add(mount)
  return () => void all.delete(mount)
}

/** Node's own note of the response that a connection carries now. */
type Carrying = { readonly _httpMessage?: ServerResponse | null }

/** Calls `fn` once the requests that came before this one on its connection are answered, unless somebody else has routed it. */
function inTurn(request: IncomingMessage, socket: Socket, fn: () => void): void {
  const carried = (socket as Carrying)._httpMessage ?? undefined
  if (socket.destroyed || carried?.req === request) return
  if (carried === undefined) return fn()
  // A reset must not end the process meanwhile.
  socket.on('error', ignore)
  carried.once('close', () => {
    socket.off('error', ignore)
    inTurn(request, socket, fn)
  })
}

function route(mount: UpgradeMount, request: IncomingMessage, socket: Socket): void {
  // Nor while hooks run.
  socket.on('error', ignore)
  const response = new ServerResponse(request)
  // Nobody reads another request from this connection.
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.once('finish', () => socket.destroySoon())
  mount.routing(request, response)
}

const ignore = (): void => undefined
