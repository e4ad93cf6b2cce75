// Lets clients that speak plainly reach a server that speaks TLS: what is tested over bytes is tested over TLS too.
import { createServer, type Server } from 'node:net'
import { connect } from 'node:tls'
import { closeAfterTest, listen } from './closing.ts'

/** Listens in the clear, and carries each connection to this port by TLS, both ways, its end too. */
export function plainFront(port: number): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (plain) => {
    const secure = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    let ended = false
    plain.on('error', () => undefined).on('close', () => secure.destroy())
    secure
      .on('error', () => undefined)
      .on('end', () => {
        ended = true
      })
    // What ends without saying so was cut off.
    secure.on('close', () => (ended ? plain.destroySoon() : plain.resetAndDestroy()))
    plain.pipe(secure).pipe(plain)
  })
  closeAfterTest(server)
  return listen(server)
}
