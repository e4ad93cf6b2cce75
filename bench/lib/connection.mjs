// One keep-alive connection of the load generator: a request at a time, the next one as soon as it is answered.
import { connect } from 'node:net'
import { parseResponse } from './response.mjs'
import { BODY_BYTES, PATH } from './target.mjs'

const REQUEST = Buffer.from(`GET ${PATH} HTTP/1.1\r\nhost: bench.test\r\nuser-agent: bench\r\naccept: */*\r\n\r\n`)
const READ_BYTES = 64 * 1024

export class Connection {
  #port
  #socket
  #text = ''
  #sentAt = 0
  #run

  constructor(port) {
    this.#port = port
  }

  /** Sends requests until `run.take()` says that there are none left. */
  start(run) {
    this.#run = run
    this.#next()
  }

  close() {
    this.#socket?.destroy()
  }

  #open() {
    const socket = connect({
      port: this.#port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback: (bytes, buffer) => {
          if (this.#socket === socket) this.#read(buffer.latin1Slice(0, bytes))
          return true
        },
      },
    })
    socket.on('error', (error) => this.#lost(socket, error.code ?? error.message))
    socket.on('close', () => this.#lost(socket, 'connection closed'))
    this.#socket = socket
  }

  /** A socket that goes while idle is replaced at the next request; one that owes an answer is an error. */
  #lost(socket, reason) {
    if (this.#socket !== socket) return
    this.#socket = undefined
    this.#text = ''
    if (this.#sentAt > 0) this.#settle(reason)
  }

  #next() {
    if (!this.#run.take()) return
    if (this.#socket === undefined) this.#open()
    this.#sentAt = performance.now()
    this.#socket.write(REQUEST)
  }

  #read(chunk) {
    this.#text = this.#text === '' ? chunk : this.#text + chunk
    try {
      const response = parseResponse(this.#text)
      if (response === undefined) return
      const { status, body, end, close } = response
      const surplus = this.#text.length > end
      this.#text = ''
      if (close || surplus) this.#drop()
      if (surplus) this.#settle('bytes after the response')
      else if (status !== 200) this.#settle(`status ${status}`)
      else if (body !== BODY_BYTES) this.#settle(`length ${body}`)
      else this.#settle(undefined)
    } catch (error) {
      this.#drop()
      this.#settle(error.message)
    }
  }

  #drop() {
    this.#text = ''
    this.#socket?.destroy()
    this.#socket = undefined
  }

  #settle(fault) {
    const elapsed = performance.now() - this.#sentAt
    this.#sentAt = 0
    this.#run.settle(elapsed, fault)
    this.#next()
  }
}
