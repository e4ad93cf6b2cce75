// The adapter for Node's own servers keeps what every adapter promises.
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer, nodeHandler } from '../../src/adapters/node.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { conforms } from './conformance.ts'

conforms({
  name: 'nodeHandler',
  prefix: '',
  async start(balancer, options) {
    const handler = nodeHandler(balancer)
    const listener: RequestListener = (request, response) => {
      for (const [name, value] of Object.entries(options.preset ?? {})) response.setHeader(name, value)
      handler(request, response)
    }
    const server = createHttpServer(listener)
    closeAfterTest(server)
    return listen(server)
  },
})

conforms({
  name: 'createServer',
  prefix: '',
  attached: true,
  upgrades: true,
  async start(balancer, options) {
    const server = createServer(balancer)
    // A listener that comes first: as an instrumentation does.
    server.prependListener('request', (_request, response) => {
      for (const [name, value] of Object.entries(options.preset ?? {})) response.setHeader(name, value)
    })
    closeAfterTest(server)
    return listen(server)
  },
})
