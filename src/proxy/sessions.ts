// Sessions of HTTP/2: who is behind each stream, and an end to those whose streams are broken off in a flood.
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Clock } from '../clock.ts'
import { type Peer, peerOf } from '../request.ts'
import type { AdapterPort } from './ports.ts'
import { isOurReset } from './versions.ts'

/**
 * How many streams of a session may be broken off in a window, where more than half of those opened in it are: a page that is
 * left breaks off a few dozen, and a proxy that carries many clients has many more streams that end well. Each costs us a
 * request to a backend and the client next to nothing (CVE-2023-44487), whichever side is made to send the reset
 * (CVE-2025-8671). nghttp2 has a limit of its own, 1,000 at once and 33 a second, and only for resets that it receives.
 */
const mostResets = 200
const windowUs = 10_000_000

/**
 * How often a session is asked whether it is alive. At an error of the connection nghttp2 says goodbye and reads no more, and
 * Node tells nobody: neither of that, nor when the client has left. Without this it would stay for ever.
 */
const pingMs = 30_000

/** A stream that is reset at once has no connection any more when its request comes up. */
const peers = new WeakMap<ServerHttp2Stream, Peer>()

/** The peer of a stream whose session is watched. */
export const peerOfStream = (stream: ServerHttp2Stream): Peer | undefined => peers.get(stream)

export function watchSession(session: ServerHttp2Session, clock: Clock, refused: AdapterPort['refused']): void {
  const peer = peerOf(session.socket)
  let startUs = clock.monoUs()
  let opened = 0
  let resets = 0
  let lastId = -1
  const tell = (rule: string, detail: string, count?: number): void =>
    refused({
      access: { count, detail, phase: 'connection', rule },
      client: { ...peer, source: 'peer' },
      network: { peer },
      outcome: 'failure',
    })
  const broken = (stream: ServerHttp2Stream): void => {
    if (session.destroyed || isOurReset(stream)) return
    resets++
    if (resets <= mostResets || resets * 2 <= opened) return
    tell('http2-resets', `${resets} of ${opened} streams`)
    // Without an error: it has its record.
    session.destroy(null as unknown as Error, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }
  const closed = function (this: ServerHttp2Stream): void {
    if (this.rstCode !== constants.NGHTTP2_NO_ERROR || this.aborted || !this.headersSent) broken(this)
  }
  let answered = true
  const check = (): void => {
    if (session.destroyed) return
    if (answered) {
      answered = false
      session.ping((error) => {
        answered = error === null
      })
      timer = clock.after(pingMs, check)
      return
    }
    tell('http2-unanswered', `no answer to a PING within ${pingMs / 1000} s`)
    session.destroy()
  }
  let timer = clock.after(pingMs, check)
  session.once('close', () => timer.cancel())
  session.on('error', (error: NodeJS.ErrnoException) => {
    const { code = error.message } = error
    // The last is what a client says that ends the session by itself.
    if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_HTTP2_SESSION_ERROR') return
    tell('malformed', code === 'ERR_HTTP2_ERROR' ? error.message : code)
  })
  // Before Node's own: it makes a request of it.
  session.prependListener('stream', (stream) => {
    peers.set(stream, peer)
    const nowUs = clock.monoUs()
    if (nowUs - startUs > windowUs) {
      startUs = nowUs
      opened = 0
      resets = 0
    }
    opened++
    // Numbers of streams rise by two (RFC 9113 section 5.1.1). Those that are left out were refused before they were requests.
    const { id = lastId + 2 } = stream
    const missed = (id - lastId) / 2 - 1
    if (missed > 0) tell('http2-streams', 'refused before it was a request', missed > 1 ? missed : undefined)
    lastId = id
    stream.once('close', closed)
  })
}
