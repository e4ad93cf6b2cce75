// Tiny backends, so that every example runs by itself: each answers with its name and what it was asked for,
// and tells over a WebSocket what it has heard.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

/** Starts one HTTP backend for each name; returns the `backends` of a balancer's options. */
export function startBackends(...names) {
  return Promise.all(
    names.map(async (id) => {
      const server = createServer(async (request, response) => {
        let body = ''
        for await (const chunk of request) body += chunk
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ backend: id, method: request.method, path: request.url, body }))
      })
      new WebSocketServer({ server }).on('connection', (socket) =>
        socket.on('message', (data) => socket.send(`${id} heard ${data}`)),
      )
      server.listen(0, '127.0.0.1').unref()
      await once(server, 'listening')
      return { id, url: `http://127.0.0.1:${server.address().port}` }
    }),
  )
}
