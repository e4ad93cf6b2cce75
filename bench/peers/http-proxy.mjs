// http-proxy with a keep-alive agent.
import { createServer } from 'node:http'
import { forward } from '../lib/http-proxy.mjs'
import { listen } from '../lib/peer.mjs'

listen(createServer(forward))
