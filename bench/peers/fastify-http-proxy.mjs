// @fastify/http-proxy over undici, the backend chosen for each request.
import proxy from '@fastify/http-proxy'
import fastify from 'fastify'
import { backends, listen, roundRobin } from '../lib/peer.mjs'

const app = fastify()
app.register(proxy, { upstream: '', replyOptions: { getUpstream: roundRobin(backends) } })
await app.ready()

listen(app.server)
