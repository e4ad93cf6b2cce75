// A server for a witness that has one for itself.
import { createServer as createPlain, type Server } from 'node:http'
import { createServer as createSecure, type ServerOptions } from 'node:https'
import type { Witness } from './witness.ts'

// Senders send small bodies in one piece: whoever is slower than this is none.
const timeouts = { headersTimeout: 10_000, requestTimeout: 60_000, keepAliveTimeout: 75_000 }

/** A server of Node's that answers as the witness, over TLS where settings of TLS are given; `requestCert` asks for mTLS. */
export function createServer(witness: Witness, tls?: ServerOptions): Server {
  return tls === undefined
    ? createPlain(timeouts, witness.handler)
    : createSecure({ ...timeouts, ...tls }, witness.handler)
}
