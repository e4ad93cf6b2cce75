// One backend of the demo: a process of its own, which answers JSON with its name, and says on /healthz that it is well.
import { createServer } from 'node:http'

const [name, port = '0'] = process.argv.slice(2)
let served = 0

const server = createServer((request, response) => {
  if (request.url === '/healthz') return void response.end('ok')
  request.resume()
  request.on('end', () => {
    // A little work, so that requests overlap and the balancer has something to weigh.
    setTimeout(
      () => {
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ backend: name, served: ++served, path: request.url }))
      },
      2 + (served % 5),
    )
  })
})

server.on('error', (error) => {
  process.send?.({ fault: error.code })
  process.exit(1)
})
server.listen(Number(port), '127.0.0.1', () => process.send?.({ port: server.address().port }))

// Nobody is left behind when the demo ends, however it ends.
process.on('disconnect', () => process.exit(0))
