// Two collectors: one that answers at once and notes how long each line was on its way, and one that takes connections and never answers.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createNetServer } from 'node:net'

const TIME = /"time":"([^"]+)"/

/** By path: each balancer posts to one of its own. */
const delays = {}
let since = Infinity

function note(path, text, now) {
  for (const line of text.split('\n')) {
    const at = Date.parse(TIME.exec(line)?.[1])
    if (at < since || Number.isNaN(at)) continue
    delays[path] ??= []
    delays[path].push(now - at)
  }
}

const collector = createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    const now = Date.now()
    response.writeHead(204).end()
    note(request.url.slice(1), Buffer.concat(parts).toString('latin1'), now)
  })
})
const hung = createNetServer((socket) => socket.on('error', () => {}).resume())

const orders = {
  /** From now on lines count. */
  begin() {
    since = Date.now()
    process.send({})
  },
  end() {
    process.send({ delays })
  },
}
process.on('message', ({ type }) => orders[type]())
process.once('disconnect', () => process.exit())

const urls = []
for (const server of [collector, hung]) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  urls.push(`http://127.0.0.1:${server.address().port}`)
}
process.send({ collector: urls[0], hung: urls[1] })
