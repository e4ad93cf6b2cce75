// A reader of requests that forgives nothing: what it finds fault with, some other reader may take for something else.

interface StrictRequest {
  readonly method: string
  readonly target: string
  readonly body: string
}

export interface StrictReading {
  /** Those that are whole. */
  readonly requests: readonly StrictRequest[]
  /** The targets of all heads that are whole. */
  readonly heads: readonly string[]
  /** What is wrong with what was read; the reading stops at the first fault. */
  readonly fault: string | undefined
}

const requestLine = /^([A-Z]+) (\/[!-~]*) HTTP\/1\.1$/
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t\x20-\x7e\x80-\xff]*)$/

/** Reads all that came in on a connection, as latin1. */
export function readStrictly(text: string): StrictReading {
  const requests: StrictRequest[] = []
  const heads: string[] = []
  const stop = (fault: string | undefined): StrictReading => ({ requests, heads, fault })
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end === -1) return stop(undefined)
    const [first = '', ...lines] = text.slice(at, end).split('\r\n')
    const [, method, target] = requestLine.exec(first) ?? []
    if (method === undefined || target === undefined) return stop(`request line ${JSON.stringify(first)}`)
    heads.push(target)
    const fields = new Map<string, string>()
    for (const line of lines) {
      const [, name, value] = headerLine.exec(line) ?? []
      if (name === undefined || value === undefined) return stop(`header ${JSON.stringify(line)}`)
      const key = name.toLowerCase()
      const single = key === 'host' || key === 'content-length' || key === 'transfer-encoding'
      if (single && fields.has(key)) return stop(`two ${key}`)
      fields.set(key, value)
    }
    const read = bodyAt(text, end + 4, fields)
    if (typeof read === 'string') return stop(read)
    if (read === undefined) return stop(undefined)
    requests.push({ method, target, body: read.body })
    at = read.end
  }
  return stop(undefined)
}

interface Body {
  readonly body: string
  readonly end: number
}

/** The body from here on; undefined while it is not whole, a text where it is at fault. */
function bodyAt(text: string, from: number, fields: ReadonlyMap<string, string>): Body | string | undefined {
  const length = fields.get('content-length')
  const coding = fields.get('transfer-encoding')
  if (!fields.has('host')) return 'no Host'
  if (length !== undefined && coding !== undefined) return 'both Content-Length and Transfer-Encoding'
  if (coding !== undefined) return coding === 'chunked' ? chunksAt(text, from) : `Transfer-Encoding ${coding}`
  if (length === undefined) return { body: '', end: from }
  if (!/^(0|[1-9]\d*)$/.test(length)) return `Content-Length ${length}`
  const end = from + Number(length)
  return end <= text.length ? { body: text.slice(from, end), end } : undefined
}

function chunksAt(text: string, from: number): Body | string | undefined {
  let body = ''
  for (let at = from; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line === -1) return undefined
    const size = text.slice(at, line)
    if (!/^[0-9a-fA-F]{1,8}$/.test(size)) return `chunk size ${JSON.stringify(size)}`
    const begin = line + 2
    const end = begin + Number.parseInt(size, 16)
    if (text.length < end + 2) return undefined
    if (text.slice(end, end + 2) !== '\r\n') return 'a chunk longer than its size'
    if (begin === end) return { body, end: end + 2 }
    body += text.slice(begin, end)
    at = end + 2
  }
}
