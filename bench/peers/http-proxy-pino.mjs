// http-proxy with pino-http, its log buffered and written to a file off the request path.
import { createServer } from 'node:http'
import { join } from 'node:path'
import pino from 'pino'
import pinoHttp from 'pino-http'
import { forward } from '../lib/http-proxy.mjs'
import { dir, listen } from '../lib/peer.mjs'

const file = pino.destination({ dest: join(dir, 'access.log'), sync: false, minLength: 4096 })
const log = pinoHttp({}, file)

listen(
  createServer((request, response) => {
    log(request, response)
    forward(request, response)
  }),
  () => file.flushSync(),
)
