// A backend that switches to any protocol it is asked for, and what a client of a raw socket asks with.
import { createServer, type Socket } from 'node:net'
import { closeAfterTest, listen } from './closing.ts'

export interface SwitchingBackend {
  readonly url: string
  readonly port: number
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>
  /** The heads that came in. */
  readonly heads: string[]
}

interface Behaviour {
  /** Given the head, writes what answers it; by default a 101 to what was asked for. False: nothing follows. */
  answer?(socket: Socket, head: string): boolean | undefined
  /** What it does with the connection then; by default it sends every byte back, and ends when the client does. */
  after?(socket: Socket, early: Buffer): void
}

export const switched = (token: string, ...fields: string[]): string =>
  ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${token}`, ...fields, '', ''].join('\r\n')

function echo(socket: Socket, early: Buffer): void {
  if (early.length > 0) socket.write(early)
  socket.pipe(socket)
}

export async function switching({ answer, after = echo }: Behaviour = {}): Promise<SwitchingBackend> {
  const heads: string[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let received = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) return
      socket.off('data', onData)
      const head = received.subarray(0, end + 4).toString('latin1')
      heads.push(head)
      const goes = answer?.(socket, head)
      if (goes === false) return
      socket.off('end', onEnd)
      if (answer === undefined) socket.write(switched(/^upgrade: (.*)\r$/im.exec(head)![1]!))
      after(socket, received.subarray(end + 4))
    }
    const onEnd = (): void => void socket.end()
    socket.on('data', onData)
    socket.on('end', onEnd)
  })
  const sockets = closeAfterTest(server)
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}`, port, sockets, heads }
}

/** The head of a request for another protocol. */
export const asking = (token = 'chat', ...fields: string[]): string =>
  ['GET /chat HTTP/1.1', 'Host: edge.test', 'Connection: Upgrade', `Upgrade: ${token}`, ...fields, '', ''].join('\r\n')
