// The connection of a client that asks for another protocol, until it is settled what it carries.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** How much of what a client sends before the switch is kept. It must not send any (RFC 9110 section 7.8). */
const mostEarlyBytes = 65_536

/** Node's own note of the response that a connection carries now. */
type Carrying = { readonly _httpMessage?: ServerResponse | null }

/**
 * Node lets go of the connection at its `upgrade` event: nobody reads it, and nobody hears its errors. Here both are done from
 * then on, so that a client that leaves is noticed; what it sends is kept, and goes on to nobody before the switch.
 */
export class UpgradeSocket {
  readonly socket: Duplex
  /** Whether somebody else had answered and ended it when its turn came: a listener of the host's that refuses. */
  isAnswered = false
  #early: Buffer[] = []
  #size = 0
  /** Called when it sends more than is kept. Written by the request. */
  onFlood: () => void = ignore

  constructor(socket: Duplex, head: Buffer) {
    this.socket = socket
    // Stays for the life of the connection: a reset must not end the process.
    socket.on('error', ignore)
    if (head.length > 0) this.#keep(head)
    socket.on('data', this.#keep)
    socket.on('end', this.#left)
  }

  get isFlooded(): boolean {
    return this.#size > mostEarlyBytes
  }

  /** Answers by this response as if the connection had never asked for anything else, and closes it then. */
  answerBy(response: ServerResponse): void {
    const { socket } = this
    this.isAnswered = socket.writableEnded
    if (this.isAnswered) return closeSoon(socket)
    if (response.socket === null && !socket.destroyed) response.assignSocket(socket as Socket)
    response.shouldKeepAlive = false
    response.once('finish', () => closeSoon(socket))
  }

  /** Takes the connection from the response, and gives up reading it; returns what has come in early. */
  takeFrom(response: ServerResponse): Buffer[] {
    response.detachSocket(this.socket as Socket)
    this.socket.off('data', this.#keep)
    this.socket.off('end', this.#left)
    this.socket.pause()
    return this.#early.splice(0)
  }

  readonly #keep = (chunk: Buffer): void => {
    const before = this.#size
    this.#size += chunk.length
    if (this.#size <= mostEarlyBytes) this.#early.push(chunk)
    else if (before <= mostEarlyBytes) this.onFlood()
  }

  // As for any request: who ends its side before the answer has left.
  readonly #left = (): void => void this.socket.destroy()
}

function closeSoon(socket: Duplex): void {
  if ('destroySoon' in socket) (socket as Socket).destroySoon()
  else socket.end(() => socket.destroy())
}

/** Calls `fn` once all requests that were sent before on this connection are answered; `own` is the response to this one. */
export function inTurn(socket: Duplex, own: ServerResponse | undefined, fn: () => void): void {
  const before = (socket as Carrying)._httpMessage ?? undefined
  if (before === undefined || before === own) fn()
  else before.once('close', () => inTurn(socket, own, fn))
}

const ignore = (): void => undefined
