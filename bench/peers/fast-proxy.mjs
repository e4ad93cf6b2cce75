// fast-proxy over its undici pools, one for each backend.
import { createServer } from 'node:http'
import fastProxy from 'fast-proxy'
import { backends, listen, roundRobin } from '../lib/peer.mjs'

const nextProxy = roundRobin(backends.map((base) => fastProxy({ base, undici: true })))

listen(createServer((request, response) => nextProxy().proxy(request, response, request.url)))
