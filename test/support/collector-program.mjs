// A collector in a process of its own: whatever it has answered is in its file, also if it is killed.
import { openSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'

const [path, port = '0'] = process.argv.slice(2)
const file = openSync(path, 'a')
const server = createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    writeSync(file, Buffer.concat(parts))
    response.writeHead(204).end()
  })
})
server.listen(Number(port), '127.0.0.1', () => console.log(`port ${server.address().port}`))
