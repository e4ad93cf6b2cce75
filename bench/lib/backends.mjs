// The four backends: plain Node servers in one process, each answers every GET with 1 KB.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { BACKENDS, BODY_BYTES } from './target.mjs'

const body = Buffer.alloc(BODY_BYTES, 'x')
const head = { 'content-type': 'text/plain', 'content-length': String(BODY_BYTES) }

async function listen() {
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, head).end(body)
  })
  // Longer than the turns of the other peers, so that a proxy never meets a connection that is being closed.
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${server.address().port}`
}

process.once('disconnect', () => process.exit())
process.send(await Promise.all(Array.from({ length: BACKENDS }, listen)))
