// Finds one HTTP/1.1 response at the front of a latin1 text, by content-length or by chunks.

const END_OF_HEAD = '\r\n\r\n'
const LENGTH = /\r\ncontent-length: *(\d+)/i
const CHUNKED = /\r\ntransfer-encoding: *chunked/i
const CLOSE = /\r\nconnection: *close/i

/** The body bytes and the end of a chunked body, or undefined while it is not all there. */
function chunks(text, from) {
  let at = from
  let body = 0
  for (;;) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return undefined
    const size = Number.parseInt(text.slice(at, line), 16)
    if (size === 0) {
      const trailersEnd = text.indexOf(END_OF_HEAD, line)
      return trailersEnd < 0 ? undefined : { body, end: trailersEnd + 4 }
    }
    body += size
    at = line + 2 + size + 2
    if (at > text.length) return undefined
  }
}

/** Undefined while the response is incomplete; throws when it has no length or no status. */
export function parseResponse(text) {
  const headEnd = text.indexOf(END_OF_HEAD)
  if (headEnd < 0) return undefined
  const head = text.slice(0, headEnd)
  const status = Number(head.slice(9, 12))
  if (!head.startsWith('HTTP/1.1 ') || !(status >= 200)) throw new Error(`unexpected status line`)
  const close = CLOSE.test(head)
  const from = headEnd + 4
  const length = LENGTH.exec(head)
  if (length !== null) {
    const body = Number(length[1])
    return text.length < from + body ? undefined : { status, body, end: from + body, close }
  }
  if (!CHUNKED.test(head)) throw new Error('no content-length and not chunked')
  const read = chunks(text, from)
  return read && { status, close, ...read }
}
