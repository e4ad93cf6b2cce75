// A request whose `Upgrade` is ignored: handed back to its server, as one that never asked.
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { takeOver } from '../../proxy/observe.ts'
import { inTurn } from '../../proxy/upgrade-socket.ts'

/** Whether all headers of it are known: behind the 1,000 that Node keeps there may be the length of its body. */
export const isRewritable = ({ rawHeaders }: IncomingMessage): boolean => rawHeaders.length < 2000

/**
 * Puts the head back in front of what follows it, without the word that made Node take it for an upgrade, and lets the server
 * read the connection anew: the request may have a body, and others may follow it. The server tells of the connection once
 * more.
 */
export function ignoreUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', ignore)
  inTurn(socket, undefined, () => {
    if (socket.destroyed) return
    // Whoever watches it sees it again, as a request.
    takeOver(request, {})
    socket.off('error', ignore)
    socket.unshift(Buffer.concat([Buffer.from(headOf(request), 'latin1'), head]))
    server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
  })
}

function headOf({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name, value] = [rawHeaders[i]!, rawHeaders[i + 1]!]
    const kept = name.toLowerCase() === 'connection' ? withoutUpgrade(value) : value
    text += `${name}: ${kept}\r\n`
  }
  return `${text}\r\n`
}

const withoutUpgrade = (value: string): string =>
  value
    .split(',')
    .filter((member) => member.trim().toLowerCase() !== 'upgrade')
    .join(',')
    .trim()

const ignore = (): void => undefined
