// Requests and responses that other proxies fall over, by combination.

const methods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'M-SEARCH', 'PURGE'] as const

const controls = ['\x00', '\x01', '\x08', '\x0b', '\x0c', '\x1f', '\x7f', '\x80', '\xff']

const requestFields: readonly string[] = [
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Expect: 100-continue, 100-continue',
  'Expect:',
  'Keep-Alive: timeout=5, max=10',
  'Keep-Alive: timeout=-1',
  'Keep-Alive: \xff',
  'Trailer: X-T',
  'Trailer: Content-Length, Transfer-Encoding, Host',
  'Trailer: ,,,',
  'TE: trailers, gzip;q=0.5',
  'TE: \xe9',
  'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA',
  'Upgrade: ',
  'Connection: close, \xff, X-A\r\nX-A: 1',
  'Connection: upgrade, keep-alive, te, content-length, host',
  'Connection: ,,,',
  'Proxy-Connection: keep-alive',
  'Proxy-Authorization: Basic x',
  '__proto__: 1\r\nconstructor: 2\r\ntoString: 3',
  'Cookie: \xe9=\xe9; \xff',
  `X-Long: ${'a'.repeat(12_000)}`,
  `X-Longest: ${'a'.repeat(1_000_000)}`,
  Array.from({ length: 900 }, (_, i) => `X-${i}: ${i}`).join('\r\n'),
  Array.from({ length: 1500 }, (_, i) => `X-${i}: ${i}`).join('\r\n'),
  'Date: not a date',
  'Host: b',
  'Via: 1.1 somebody, \xff',
  'Traceparent: 00-0-0-0',
  'X-Request-Id: \xff\xff\xff',
  'X-Forwarded-For: \xff, 1.2.3.4, ]',
  'Forwarded: for="[::1"; by=\\',
  'Content-Type: \xff/\xff; charset=\x80',
  'Content-Encoding: gzip, \xff',
  ...controls.map((character) => `X-Control: a${character}b`),
  ...controls.map((character) => `X-Name${character}: b`),
  'X Space: 1',
  'X-Space : 1',
  ': nothing',
  'no colon',
  ' folded',
]

const bodies: readonly string[] = [
  'Content-Length: 0\r\n\r\n',
  'Content-Length: 4\r\n\r\nbody',
  'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n',
]

/** At least 1,000 requests as they go over the wire, each the last one of its connection. */
export const poisonRequests: readonly string[] = methods.flatMap((method) =>
  requestFields.flatMap((field) =>
    bodies.map((body) => `${method} /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${field}\r\n${body}`),
  ),
)

const statusLines: readonly string[] = [
  'HTTP/1.1 200 OK',
  'HTTP/1.1 099 Odd',
  'HTTP/1.1 000 Zero',
  'HTTP/1.1 101 Switching Protocols',
  'HTTP/1.1 204 No Content',
  'HTTP/1.1 205 Reset Content',
  'HTTP/1.1 304 Not Modified',
  'HTTP/1.1 599 \xff\xfe',
  'HTTP/1.1 999 Odd',
  'HTTP/1.1 1000 Odd',
  'HTTP/1.1 200 a\x00b',
  'HTTP/1.1 -20 Odd',
  'HTTP/1.1 20 Short',
  'HTTP/1.1 200',
  'HTTP/1.0 200 OK',
  'HTTP/2.0 200 OK',
  'HTTP/0.9 200 OK',
  'ICY 200 OK',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK',
  'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK',
  'HTTP/1.1 103 Early Hints\r\nLink: \xff\r\n\r\nHTTP/1.1 200 OK',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: x\r\n\r\nHTTP/1.1 200 OK',
]

const responseFields: readonly string[] = [
  'Trailer: X-T',
  'Trailer: Content-Length',
  'Keep-Alive: timeout=-1',
  'Keep-Alive: timeout=0, max=0',
  'Connection: close, \xff',
  'Connection: X-A, content-length\r\nX-A: 1',
  'Upgrade: h2c',
  '__proto__: 1\r\nconstructor: 2',
  'Set-Cookie: a=\x02',
  'X-A: \x00',
  'X-A: \x7f',
  'X-A: \xff\x80',
  'X A: 1',
  'X-A : 1',
  ': nothing',
  'no colon',
  ' folded',
  'Content-Length: 2',
  'Content-Length: -2',
  'Content-Length: 2, 2',
  'Content-Length: 99999999999999999999',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity',
  'Proxy-Authenticate: Basic',
  'Location: \xff',
  'Retry-After: \xff',
  `X-Long: ${'a'.repeat(65_536)}`,
  `X-Longest: ${'a'.repeat(1_000_000)}`,
  Array.from({ length: 3000 }, (_, i) => `X-${i}: ${i}`).join('\r\n'),
]

const responseBodies: readonly string[] = [
  'Content-Length: 2\r\n\r\nok',
  'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: a\x01b\r\n\r\n',
]

/** At least 1,000 responses as they go over the wire. */
export const poisonResponses: readonly string[] = statusLines.flatMap((line) =>
  responseFields.flatMap((field) => responseBodies.map((body) => `${line}\r\n${field}\r\n${body}`)),
)
