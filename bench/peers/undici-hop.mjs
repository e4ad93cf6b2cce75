// The bare hop: raw undici dispatch with raw header arrays, round robin, streaming both ways, hop-by-hop headers stripped.
import { createServer } from 'node:http'
import { Pool } from 'undici'
import { backends, listen, roundRobin } from '../lib/peer.mjs'

const HOP_BY_HOP = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const nextPool = roundRobin(backends.map((url) => new Pool(url)))

/** Drops what is hop-by-hop and what Connection names; strings or Buffers in, strings out. */
function endToEnd(raw) {
  const kept = []
  let named
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toString('latin1')
    const value = raw[i + 1].toString('latin1')
    const lower = name.toLowerCase()
    if (lower === 'connection') named = `${named ?? ''},${value.toLowerCase()}`
    if (!HOP_BY_HOP.has(lower)) kept.push(name, value)
  }
  return named === undefined ? kept : withoutNamed(kept, new Set(named.split(',').map((name) => name.trim())))
}

function withoutNamed(headers, names) {
  const kept = []
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.has(headers[i].toLowerCase())) kept.push(headers[i], headers[i + 1])
  }
  return kept
}

function hasBody(raw) {
  for (let i = 0; i < raw.length; i += 2) {
    const { length } = raw[i]
    if (length === 14 && raw[i].toLowerCase() === 'content-length') return true
    if (length === 17 && raw[i].toLowerCase() === 'transfer-encoding') return true
  }
  return false
}

/** Undici's handler of one request. */
class Exchange {
  #response
  #abort
  #resume

  constructor(response) {
    this.#response = response
    response.on('close', () => {
      if (!response.writableFinished) this.#abort?.(new Error('client gone'))
    })
  }

  onConnect(abort) {
    this.#abort = abort
    if (this.#response.destroyed) abort(new Error('client gone'))
  }

  onHeaders(status, rawHeaders, resume, statusText) {
    if (status < 200) return true
    this.#resume = resume
    this.#response.writeHead(status, statusText, endToEnd(rawHeaders))
    return true
  }

  onData(chunk) {
    if (this.#response.write(chunk)) return true
    this.#response.once('drain', this.#resume)
    return false
  }

  onComplete() {
    this.#response.end()
  }

  onError() {
    if (this.#response.headersSent) this.#response.destroy()
    else this.#response.writeHead(502).end()
  }
}

listen(
  createServer((request, response) => {
    const { method, url: path, rawHeaders } = request
    const body = hasBody(rawHeaders) ? request : null
    nextPool().dispatch({ method, path, headers: endToEnd(rawHeaders), body }, new Exchange(response))
  }),
)
