// No proxy: what Node's own server costs with the same answer, the floor under every Node proxy.
import { createServer } from 'node:http'
import { listen } from '../lib/peer.mjs'
import { BODY_BYTES } from '../lib/target.mjs'

const body = Buffer.alloc(BODY_BYTES, 'x')
const head = { 'content-type': 'text/plain', 'content-length': String(BODY_BYTES) }

listen(createServer((_request, response) => response.writeHead(200, head).end(body)))
