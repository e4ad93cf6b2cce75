// A probe by TCP: the backend is well if it accepts a connection.
import { connect } from 'node:net'
import type { Backend } from '../backend.ts'

/** Rejects with the code of the system if there is no connection. The signal destroys it, in whatever state. */
export function tcpProbe(backend: Backend, port: number | undefined, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: backend.address, port: port ?? backend.port })
    // Stays for the whole life of the socket: one that was connected may fail until it is closed.
    socket.on('error', (error: NodeJS.ErrnoException) => reject(new Error(error.code ?? error.message)))
    socket.on('connect', resolve)
    signal.addEventListener('abort', () => socket.destroy())
  })
}
