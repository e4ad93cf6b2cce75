// http-proxy-middleware on Express, with a keep-alive agent.
import { Agent, createServer } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { backends, listen, roundRobin } from '../lib/peer.mjs'

const app = express()
app.use(
  createProxyMiddleware({
    target: backends[0],
    router: roundRobin(backends),
    agent: new Agent({ keepAlive: true }),
  }),
)

listen(createServer(app))
