// A probe by TCP, or by a unix socket: the backend is well if it accepts a connection.
import { connect } from 'node:net'
import type { Backend } from '../backend.ts'

/** Rejects with the code of the system if there is no connection. The signal destroys it, in whatever state. */
export function tcpProbe({ address, port, socketPath }: Backend, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath === undefined ? { host: address, port } : { path: socketPath })
    // Stays for the whole life of the socket: one that was connected may fail until it is closed.
    socket.on('error', (error: NodeJS.ErrnoException) => reject(new Error(error.code ?? error.message)))
    socket.on('connect', resolve)
    signal.addEventListener('abort', () => socket.destroy())
  })
}
