// A backend in a process of its own, which tells of each request that it got, and lets some responses take their time.
import { createServer } from 'node:http'

let turn = 0
const server = createServer((request, response) => {
  process.send?.({ got: `${request.method} ${request.url}` })
  request.resume()
  const answers = () => {
    if (turn++ % 3 !== 0) return response.end('done')
    // The head goes first: a kill in between cuts a response that has begun.
    response.write('do')
    setTimeout(() => response.end('ne'), 5)
  }
  request.on('end', () => setTimeout(answers, turn % 5))
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: server.address().port }))
