// Closes what a test opened, when the test is over.
import type { Server, Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** Keeps count of a server's sockets, and ends them with it when the test is over. */
export function closeAfterTest(server: Server): Set<Socket> {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
  })
  onTestFinished(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of open) socket.destroy()
    await closed
  })
  return open
}

/** Listens on a free port of the loopback, and returns it. */
export async function listen(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as { port: number }).port
}
