// Requests as browsers send them, with twelve headers: each with texts of its own, as a parser makes them.
const agents = Array.from(
  { length: 40 },
  (_, i) => `Mozilla/5.0 (X11; Linux x86_64; rv:${120 + i}.0) Gecko/20100101 Firefox/${120 + i}.0`,
)
const pages = ['/', '/products', '/products/4711', '/cart', '/search?q=shoes&page=2', '/api/v1/orders/17/items']

function headOf(i) {
  const at = (list) => list[i % list.length]
  return [
    ['Host', 'shop.example'],
    ['User-Agent', at(agents)],
    ['Accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'],
    ['Accept-Language', at(['en-US,en;q=0.5', 'de,en-US;q=0.7,en;q=0.3', 'fr-FR,fr;q=0.9'])],
    ['Accept-Encoding', 'gzip, deflate, br, zstd'],
    ['Referer', `https://shop.example/products/${i}`],
    ['Connection', 'keep-alive'],
    ['Cookie', `session=${(i * 2654435761).toString(16).padStart(12, '0')}; theme=dark; consent=1`],
    ['Upgrade-Insecure-Requests', '1'],
    ['Sec-Fetch-Dest', 'document'],
    ['Sec-Fetch-Mode', 'navigate'],
    ['Sec-Fetch-Site', 'same-origin'],
  ].flat()
}

const many = 1024
const heads = Array.from({ length: many }, (_, i) => {
  const bytes = headOf(i).map((text) => Buffer.from(text, 'latin1'))
  const buffer = Buffer.concat(bytes)
  let end = 0
  return { buffer, ends: bytes.map(({ length }) => (end += length)) }
})
const ids = Array.from({ length: many }, () => crypto.randomUUID())
const backends = Array.from({ length: 4 }, (_, i) => ({
  config: Object.freeze({ id: `b${i}`, url: `http://10.0.0.${i}:8080`, address: `10.0.0.${i}`, port: 8080 }),
}))

/** The n-th request: what is known of it, and the attempt that it took. */
export function requestOf(n) {
  const i = n % many
  const { buffer, ends } = heads[i]
  const rawHeaders = new Array(ends.length)
  for (let k = 0, from = 0; k < ends.length; k++) {
    rawHeaders[k] = buffer.latin1Slice(from, ends[k])
    from = ends[k]
  }
  const peer = { address: `203.0.113.${n % 250}`, port: 20_000 + (n % 40_000) }
  const backend = backends[n % 4]
  return {
    facts: {
      request: { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 },
      options: {},
      requestId: `${ids[i].slice(0, 24)}${(n + 0x1000_0000_0000).toString(16)}`,
      peer,
      client: { address: peer.address, port: peer.port, source: 'peer' },
      rawHeaders,
      target: pages[n % pages.length],
      encryption: undefined,
      trace: undefined,
    },
    attempt: {
      backend,
      decision: {
        backend: backend.config.id,
        candidates: 4,
        excluded: [],
        group: undefined,
        hedge: undefined,
        panic: undefined,
        priority: undefined,
        ramp: undefined,
        reason: n % 3 === 0 ? 'equal-load-of-two' : 'less-loaded-of-two',
        retry: undefined,
        snapshot: 7,
        sticky: undefined,
        strategy: 'power-of-two',
        trace: undefined,
        zone: undefined,
      },
      startUs: 0,
      connected: { queueUs: 0, connectUs: 0, reused: true, stale: 0, peerAddress: undefined },
      status: 200,
      headUs: 700 + (n % 300),
      retryAfterMs: undefined,
      result: undefined,
      detail: undefined,
      endUs: 0,
      fail() {},
    },
  }
}
