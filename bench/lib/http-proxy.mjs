// http-proxy as both of its peers use it: round robin, and an agent that keeps its connections.
import { Agent } from 'node:http'
import httpProxy from 'http-proxy'
import { backends, roundRobin } from './peer.mjs'

const nextTarget = roundRobin(backends)
const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true }) })
proxy.on('error', (_error, _request, response) => response.writeHead(502).end())

export const forward = (request, response) => proxy.web(request, response, { target: nextTarget() })
