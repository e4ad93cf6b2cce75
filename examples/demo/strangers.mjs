// Those whom the balancer refuses: a client at a denied address, and one that tries to smuggle a request.
import { once } from 'node:events'
import { connect, createServer as createTcpServer } from 'node:net'

/** An address of this machine that the demo may deny: 127.0.0.9, or ::1 where the system has only one of the former. */
export async function strangerAddress() {
  const probe = createTcpServer().listen(0, '127.0.0.9')
  const usable = await once(probe, 'listening').then(
    () => true,
    () => false,
  )
  if (!usable) return '::1'
  probe.close()
  return '127.0.0.9'
}

/** Connects from that address and asks. Resolves with what came back: nothing, if the balancer refuses. */
export function knock(port, address) {
  const host = address === '::1' ? '::1' : '127.0.0.1'
  return talk({ port, host, localAddress: address }, 'GET / HTTP/1.1\r\nHost: demo\r\n\r\n')
}

/** Two lengths for one body: what follows the shorter one would be read as a request that nobody has checked. */
export function smuggle(port) {
  const head = 'POST / HTTP/1.1\r\nHost: demo\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n'
  return talk({ port, host: '127.0.0.1' }, `${head}0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n`)
}

/** Sends bytes as they are, and resolves with the answer once the connection is closed. */
function talk(where, bytes) {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(where, () => socket.write(bytes))
    socket.setEncoding('latin1')
    socket.on('data', (text) => {
      answer += text
    })
    // A connection that is cut off is the answer here.
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
  })
}
