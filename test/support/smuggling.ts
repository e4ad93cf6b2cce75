// Requests that two readers may read in two ways. Each is followed, on its connection, by a request that nobody is to see
// but where the first one is beyond doubt.

/**
 * What is to become of one: it is refused; it passes and so does what follows; it passes alone, for what follows is none, or
 * its own body; or the parser may choose, so long as all of it is read in one way.
 */
type Fate = 'refused' | 'passes' | 'alone' | 'either'

export interface Attack {
  readonly name: string
  readonly text: string
  readonly fate: Fate
}

const follower = 'GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

const visible = (text: string): string =>
  JSON.stringify(text.length > 70 ? `${text.slice(0, 50)}… of ${text.length}` : text).slice(1, -1)

const request = (lines: readonly string[], body: string, line = 'POST /first HTTP/1.1'): string =>
  `${[line, 'Host: a', ...lines].join('\r\n')}\r\n\r\n${body}`

/** An attack by the lines of a head. */
const byLines = (lines: readonly string[], body: string, fate: Fate = 'refused'): Attack => ({
  name: visible(lines.join(' | ')),
  text: request(lines, body) + follower,
  fate,
})
/** An attack by what stands in the place of a whole request. */
const byText = (text: string, fate: Fate = 'refused'): Attack => ({ name: visible(text), text: text + follower, fate })
/** An attack by a chunked body. */
const byChunks = (body: string, fate: Fate = 'refused'): Attack => ({
  name: visible(body),
  text: request(['Transfer-Encoding: chunked'], body) + follower,
  fate,
})

const both = <A, B>(one: readonly A[], other: readonly B[]): (readonly [A, B])[] =>
  one.flatMap((a) => other.map((b) => [a, b] as const))

/** Five bytes, whether they are counted or read as chunks. */
const five = '0\r\n\r\n'
const chunked = 'Transfer-Encoding: chunked'

const lengths = ['Content-Length: 5', 'content-length: 5', 'CONTENT-LENGTH:5', 'Content-Length:\t5 ']
const codings = [chunked, 'transfer-encoding: chunked', 'TRANSFER-ENCODING:CHUNKED', 'Transfer-Encoding:\tchunked ']

const notLengths = [
  ...['+5', '-5', '5,5', '5, 5', '5;5', '5 5', '5.0', '5e0', '0x5', '0b101', '0o5', '5_0', '"5"', "'5'", 'five', '5a'],
  ...['a5', '', ' ', '\x0b5', '5\x0b', '\x0c5', '5\x00', '\x005', '5\xa0', '05', '00', '005', '5\r', '5\x7f', '5\x1f'],
  ...['99999999999999999999', '18446744073709551621', '9223372036854775808', '1e400', 'NaN', 'Infinity', '5, ', ',5'],
]

const notCodings = [
  ...['identity', 'gzip', 'deflate', 'compress', 'xchunked', 'chunkedx', 'x-chunked', 'cow', 'trailers', ''],
  ...['chunked, chunked', 'chunked,identity', 'identity, chunked', 'gzip, chunked', 'chunked, gzip', 'chunked,'],
  ...[',chunked', '"chunked"', 'chunked;q=1', 'chunked;', 'chunked\x0b', '\x0bchunked', '\x0cchunked', 'chunked\x00'],
  ...['chunk ed', 'c\thunked', 'chunked\xa0', 'chunked\x7f', '\\chunked', 'chunked\r'],
]

const oddNames = [
  ...['@ : #', '@\t: #', ' @: #', '\t@: #', '@\x0b: #', '\x0b@: #', '@\x00: #', '\x00@: #', '@\r: #', '@\r\n: #'],
  ...['@ #', '@', '"@": #', '@\xa0: #', '\xa0@: #', '@\x7f: #', '@:\r\n\t#', '@(x): #', '@[]: #', '@,: #', '@;: #'],
]

const lineEnds = ['\n', '\r', '\r\r\n', '\n\r', '\n\n', '\x00\r\n', '\x0b\r\n', '\x0c\n', ' \n', '\r\x00\n']
const places = ['POST /first HTTP/1.1', 'Host: a', 'X-A: a', 'Content-Length: 5']

/** A head whose line at this place ends in this way. */
const endingIn = (place: string, end: string): Attack => ({
  name: `${place} and then ${visible(end)}`,
  text: `${places.map((line) => line + (line === place ? end : '\r\n')).join('')}\r\n${five}${follower}`,
  // Spaces behind a value are none of it; but a lone LF must not end its line.
  fate: 'refused',
})

const folds = ['\r\n ', '\r\n\t', '\r\n  ', '\n ', '\r '].flatMap((fold) =>
  [
    `Transfer-Encoding:${fold}chunked`,
    `Transfer-Encoding: chunked${fold}x`,
    `Content-Length:${fold}5`,
    `Content-Length: 5${fold}5`,
    `X-A: a${fold}Content-Length: 5`,
    `Host:${fold}a`,
  ].map((line) => byLines([line], five)),
)

const notSizes = [
  ...[
    '-5',
    '+5',
    '0x5',
    ' 5',
    '\t5',
    'g',
    '',
    '5g',
    '5\x00',
    '\x005',
    '5\x0b',
    '5\xa0',
    '5,5',
    '"5"',
    '5.',
    '5 5',
    '5:5',
  ],
  ...['ffffffffffffffff', '10000000000000005', 'fffffffffffffffff', '100000000000000000000000000000005', '5\r', '5\n'],
]

const extensions: readonly (readonly [string, Fate])[] = [
  ...(['5;a', '5;a=b', '5;a="b"', '5;a=b;c=d', '005', '5;a="b;c"'] as const).map((size) => [size, 'passes'] as const),
  ...(['5 ', '5\t', '5 ;a', '5;', '5;;', '5; a', '5;a =b', '5;a="b', '5;a=', '5;=b'] as const).map(
    (size) => [size, 'either'] as const,
  ),
  ...['5;a\nb', '5;a\n', '5;\n', '5;a\rb', '5;a="\n"', '5;a="\r\n"', '5;\x00', '5;a=\x00', '5;a=\x0b', '5;\x0c'].map(
    (size) => [size, 'refused'] as const,
  ),
  [`5;${'a'.repeat(20_000)}`, 'refused'],
  [`5;a="${'b'.repeat(70_000)}"`, 'refused'],
]

const chunkEnds: readonly (readonly [string, Fate])[] = [
  ...[
    '5\r\nhello0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5\r\nhello\r0\r\n\r\n',
    '5\r\nhello!\r\n0\r\n\r\n',
    '5\r\nhell\r\n0\r\n\r\n',
    '5\r\nhello\r\n\r\n0\r\n\r\n',
    '5\nhello\n0\n\n',
    '5\r\nhello\r\n0\n\n',
    '5\r\nhello\r\n0\r\n',
    '5\r\nhello\r\n0\r\n\n',
    '5\r\nhello\r\n0\r\n\r',
    '5\r\nhello\r\n',
    '5\r\nhello\r\n0',
    '5\r\nhello\r\n-0\r\n\r\n',
    '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n',
    '5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n',
    '5\r\nhello\r\n0\r\nX-A: 1\n\r\n',
    '5\r\nhello\r\n0\r\n: 1\r\n\r\n',
    '5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n',
  ].map((body) => [body, 'refused'] as const),
  ...[
    '5\r\nhello\r\n0\r\n\r\n',
    '5\r\nhello\r\n00\r\n\r\n',
    '5\r\nhello\r\n0;a\r\n\r\n',
    '5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n',
  ].map((body) => [body, 'passes'] as const),
  ...['Transfer-Encoding: chunked', 'Host: b', 'Connection: upgrade', 'Trailer: Content-Length', 'X-A: 1\r\n b'].map(
    (line) => [`5\r\nhello\r\n0\r\n${line}\r\n\r\n`, 'either'] as const,
  ),
]

const oddTargets = [
  ...[
    '*',
    'a',
    'a:80',
    '?x',
    '#',
    '/#f',
    '/a b',
    '/\\evil',
    '\\evil',
    '/\x00',
    '/\x01',
    '/\x7f',
    '/\x80',
    '/\xff',
    '/\t',
  ],
  ...[
    'http://',
    'http:///x',
    'http://?x',
    'http://me@a/',
    'http://me:pw@a/',
    'http://a:b:c/',
    'http://[::1/',
    'http:/a',
  ],
  ...[
    'http://a/#f',
    'http://a\\b/',
    'http:a',
    'http://:80/',
    'ftp://a/',
    'file:///etc/passwd',
    'javascript:1',
    '',
    ' ',
  ],
  ...[
    'http://a b/',
    'ws://a/',
    'https//a',
    '://a/',
    'http://a@b@c/',
    'http://::1/',
    'http://a/\x00',
    'http://a:999999/',
  ],
]

const oddHosts = [
  ...['a b', 'a/b', 'me@a', 'a#b', 'a?b', 'a\\b', 'a, b', '[::1', '::1]', '::1', 'a:b', 'a:123456', 'a:-1', 'a:80:80'],
  ...['a\x00', 'a\x7f', 'a\xe9', 'a\x0b', 'http://a', 'a|b', 'a<b>', 'a"b"', 'a^b', '{a}', '[a]b', 'a[::1]', '[::1]a'],
]
const twoHosts = ['Host: a', 'Host: b', 'host: a', 'HOST: b', 'Host:', 'hOST:a']

const oddLines = [
  ...['POST /first HTTP/0.9', 'POST /first HTTP/1.2', 'POST /first HTTP/2.0', 'POST /first HTTP/3.0', 'POST /first'],
  ...[
    'POST /first HTTP/1.10',
    'POST /first HTTP/01.1',
    'POST /first http/1.1',
    'POST /first HTTP/1. 1',
    'POST /first HTTP',
  ],
  ...[
    'POST /first HTTP /1.1',
    'POST /first HTTP1.1',
    'POST /first HTTPS/1.1',
    'POST /first XHTTP/1.1',
    'POST /first 1.1',
  ],
  ...[
    'POST /first ICE/1.0',
    'POST /first RTSP/1.0',
    'POST /first HTTP/1.1 x',
    'POST /first HTTP/1.1\x00',
    'PO ST /first HTTP/1.1',
  ],
  ...[
    ' POST /first HTTP/1.1',
    '\tPOST /first HTTP/1.1',
    'POST\t/first HTTP/1.1',
    'post /first HTTP/1.1',
    'P\x00OST /first HTTP/1.1',
  ],
  ...[
    'POST/first HTTP/1.1',
    'POSTT /first HTTP/1.1',
    'PRI * HTTP/2.0',
    'CONNECT a:80 HTTP/1.1',
    'POST /first HTTP/1.1\x0b',
  ],
  ...[
    'POST\x0b/first HTTP/1.1',
    'POST /first\x0bHTTP/1.1',
    'POST /first\x0cHTTP/1.1',
    '"POST" /first HTTP/1.1',
    'POST: /first HTTP/1.1',
  ],
]

const old = (lines: readonly string[], body: string, fate: Fate = 'refused'): Attack => ({
  name: visible(['HTTP/1.0', ...lines].join(' | ')),
  text: `${['POST /first HTTP/1.0', ...lines].join('\r\n')}\r\n\r\n${body}${follower}`,
  fate,
})

const methods = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'TRACE']

/** A body that looks like a request, and is none. */
const bodies = methods.flatMap((method) => {
  const line = `${method} /first HTTP/1.1`
  const close = 'Connection: close'
  return [
    { lines: [`Content-Length: ${follower.length}`, close], body: follower },
    { lines: [chunked, close], body: `${follower.length.toString(16)}\r\n${follower}\r\n0\r\n\r\n` },
  ].map(
    ({ lines, body }): Attack => ({
      name: `${method} | ${lines[0]}`,
      text: request(lines, body, line),
      fate: 'alone',
    }),
  )
})

/** The length is a little off: what follows begins within the body, or before its end, and is no request. */
const offLengths = [0, 1, 2, 3, 4, 6, 7, 8].map((length) => byLines([`Content-Length: ${length}`], 'hello'))

const whole = request(['X-A: a', 'Content-Length: 5'], '')
const cutHeads = [1, 4, 5, 9, 12, 20, 22, 26, 30, 33, 38, 48, whole.length - 3, whole.length - 1].map(
  (length): Attack => ({
    name: `cut after ${visible(whole.slice(0, length))}`,
    text: whole.slice(0, length),
    fate: 'refused',
  }),
)

export const families: Readonly<Record<string, readonly Attack[]>> = {
  'both Content-Length and Transfer-Encoding': both(lengths, codings).flatMap(([length, coding]) => [
    byLines([length, coding], five),
    byLines([coding, length], five),
    byLines([length, 'X-A: a', coding], five),
  ]),
  'two Content-Lengths': both(['5', '0', '6'], ['5', '0', '50']).flatMap(([one, other]) => [
    byLines([`Content-Length: ${one}`, `Content-Length: ${other}`], five),
    byLines([`content-length: ${one}`, 'X-A: a', `CONTENT-LENGTH: ${other}`], five),
  ]),
  'a Content-Length that is none': notLengths.map((value) => byLines([`Content-Length: ${value}`], five)),
  'a Content-Length that is none, and chunks': notLengths.map((value) =>
    byLines([`Content-Length: ${value}`, chunked], five),
  ),
  'a Transfer-Encoding other than chunked': notCodings.map((value) => byLines([`Transfer-Encoding: ${value}`], five)),
  'another Transfer-Encoding before chunked': notCodings.map((value) =>
    byLines([`Transfer-Encoding: ${value}`, chunked], five),
  ),
  'another Transfer-Encoding after chunked': notCodings.map((value) =>
    byLines([chunked, `transfer-encoding: ${value}`], five),
  ),
  'another Transfer-Encoding with Content-Length': notCodings.map((value) =>
    byLines(['Content-Length: 5', `Transfer-Encoding: ${value}`], five),
  ),
  'a name that is none': both(oddNames, [
    ['Transfer-Encoding', 'chunked'],
    ['Content-Length', '5'],
    ['X-A', 'a'],
  ] as const).map(([form, [name, value]]) => byLines([form.replace('@', name).replace('#', value)], five)),
  'a line end that is none': both(places, lineEnds).map(([place, end]) => endingIn(place, end)),
  'a folded line': folds,
  'a chunk size that is none': notSizes.map((size) => byChunks(`${size}\r\nhello\r\n0\r\n\r\n`)),
  'a chunk extension': extensions.map(([size, fate]) => byChunks(`${size}\r\nhello\r\n0\r\n\r\n`, fate)),
  'the end of a chunk or of the last one': chunkEnds.map(([body, fate]) => byChunks(body, fate)),
  'a target that is none': both(['GET', 'OPTIONS'], oddTargets).map(([method, target]) =>
    byText(request([], '', `${method} ${target} HTTP/1.1`)),
  ),
  'a Host that is none': oddHosts.map((host) => byText(`GET /first HTTP/1.1\r\nHost: ${host}\r\n\r\n`)),
  'two Hosts, or none': [
    ...both(twoHosts, twoHosts).map(([one, other]) => byText(`GET /first HTTP/1.1\r\n${one}\r\n${other}\r\n\r\n`)),
    byText('GET /first HTTP/1.1\r\n\r\n'),
    byText('GET http://a/first HTTP/1.1\r\n\r\n'),
    byText('GET http://a/first HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'),
  ],
  'a request line that is none': oddLines.map((line) => byText(request(['Content-Length: 5'], five, line))),
  'HTTP/1.0': [
    old([chunked], five),
    old(['Host: a', chunked], five),
    old(['Connection: keep-alive', chunked], five),
    old([chunked, 'Content-Length: 5'], five),
    old(['Content-Length: 5', 'Content-Length: 5'], five),
    old(['Transfer-Encoding: identity'], five),
    old(['Content-Length: 5'], five),
    old(['Content-Length: 5', 'Connection: keep-alive'], five, 'passes'),
  ],
  'a body that looks like a request': bodies,
  'a length that is a little off': offLengths,
  'what stands before a request': [
    ...['\r\n', '\r\n\r\n', '\n', '\r', '\n\r\n'].map((text) =>
      byText(text + request(['Content-Length: 5'], five), 'either'),
    ),
    ...[' ', '\t', '\x00', '\x0b', ' \r\n', 'x\r\n', '\xef\xbb\xbf', '0\r\n\r\n'].map((text) =>
      byText(text + request(['Content-Length: 5'], five)),
    ),
  ],
  'a head that is cut': cutHeads,
  'a Connection that names what frames': both(
    ['content-length', 'transfer-encoding', 'host', 'Content-Length, Transfer-Encoding', 'keep-alive, content-length'],
    ['Content-Length: 5', chunked],
  ).map(([named, framing]) => byLines([`Connection: ${named}`, framing], five, 'passes')),
  'names that are alike, and harmless': [
    'Transfer_Encoding: chunked',
    'Content_Length: 50',
    'X-Transfer-Encoding: x',
  ].map((line) => byLines([line, 'Content-Length: 5'], five, 'passes')),
}
