// A backend in a process of its own: answers every request with its name, on the port that it is given or on a free one.
import { createServer } from 'node:http'

const [name = 'backend', port = '0'] = process.argv.slice(2)
const server = createServer((request, response) => {
  request.resume()
  response.setHeader('content-type', 'text/plain')
  response.end(`${name} ${request.method} ${request.url}`)
})
server.listen(Number(port), '127.0.0.1', () => process.send?.({ port: server.address().port }))
