// Requests full of secrets, over real connections: each is one line in every sink, no sink has a secret, and every line is valid.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import { eventSchema } from '../../../src/events.ts'
import { seededRandom } from '../../../src/random.ts'
import { tempFolder } from '../../support/folder.ts'
import { bundle } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'
import { schemaFaults, schemaNameOf } from '../../support/schemas.ts'
import { until } from '../../support/until.ts'

const requests = scaled(1_000_000, 5000)
const connections = 24
const pipelined = 12
const seed = 20_261_128

const program = await bundle(join(import.meta.dirname, '..', '..', 'support', 'secrets-program.ts'))
afterAll(() => program.remove())

/**
 * A secret is made of these, so that any eight characters of it, forwards or backwards, hold one whole and a part of another, and
 * nothing else that a line has does.
 */
const units = ['Zq7', 'Xv9', 'Kj4']
const pair = '(?:zq7|xv9|kj4)(?:[zxk])'
const backwards = '(?:7qz|9vx|4jk)(?:[794])'
const inBase64 = units.flatMap((unit) =>
  units.flatMap((next) =>
    [0, 1, 2].map((shift) => {
      const text = Buffer.from(`${'\0'.repeat(shift)}${unit}${next}${unit}`).toString('base64')
      return text.slice(Math.ceil((shift * 8) / 6), Math.ceil((shift * 8) / 6) + 8)
    }),
  ),
)
const escaped = units.map((unit) => [...unit].map((one) => `%(?:25)*${one.charCodeAt(0).toString(16)}`).join(''))
const forms = [new RegExp(pair, 'i'), new RegExp(backwards, 'i'), new RegExp(escaped.join('|'), 'i')]
const encoded = new RegExp(inBase64.map((text) => text.replaceAll('+', '\\+')).join('|'))

const cards = ['4111111111111111', '5555555555554444', '378282246310005', '6011000990139424', '3530111333300000']
const cardParts = cards.flatMap((card) => [card.slice(0, 12), card.slice(-12)])
// Twelve digits and more, with any separators between them.
const digits = /\d(?:(?:[ +-]|%20|%2d)?\d){11,}/gi

/** What of a secret or a card number is in this text. */
function leakIn(text: string): string | undefined {
  for (const form of [...forms, encoded]) {
    const found = form.exec(text)
    if (found !== null) return text.slice(Math.max(0, found.index - 80), found.index + 80)
  }
  for (const { 0: run, index } of text.matchAll(digits)) {
    const plain = run.replace(/%20|%2d|\D/gi, '')
    if (cardParts.some((part) => plain.includes(part))) return text.slice(Math.max(0, index - 80), index + 80)
  }
  return undefined
}

const random = seededRandom(seed)
const below = (n: number): number => random.uint32() % n
const oneOf = <T>(list: readonly T[]): T => list[below(list.length)]!

function secretText(): string {
  let text = ''
  for (let i = 4 + below(8); i > 0; i--) text += oneOf(units)
  const forms: readonly ((given: string) => string)[] = [
    (given) => given,
    (given) => given,
    (given) => given.toLowerCase(),
    (given) => given.toUpperCase(),
    (given) => [...given].reverse().join(''),
    (given) => Buffer.from(given).toString('base64'),
    (given) => Buffer.from(`u:${given}`).toString('base64'),
    (given) => [...given].map((one) => `%${one.charCodeAt(0).toString(16)}`).join(''),
  ]
  return oneOf(forms)(text)
}

function cardText(separators: readonly string[]): string {
  const separator = oneOf(separators)
  return oneOf(cards)
    .match(/\d{1,4}/g)!
    .join(separator)
}
const inUrl = ['', '', '-', '+', '%20', '%2D']
const inHeader = ['', '', '-', ' ']

const hiddenNames = [
  'Authorization',
  'authorization',
  'Proxy-Authorization',
  'X-Api-Key',
  'X-Token',
  'X-Auth',
  'X-Custom-1',
]
const word = (): string =>
  oneOf(['alpha', 'beta', 'x', '', 'a b', '\\', '\u00e9', '"q"', '\t', 'caf\u00e9 {}', '~', '/'])

/** The head of request `i`, which says so in a parameter that is kept. */
function requestText(i: number): string {
  const path = oneOf([
    () => `/users/${secretText()}/orders/${secretText()}`,
    () => `//USERS/${secretText()}`,
    () => `/go/https://u:${secretText()}@host/x`,
    () => `/go/https%3A%2F%2Fu%3A${secretText()}%40host%2Fx`,
    () => `/cart;jsessionid=${secretText()}`,
    () => `/pay/${cardText(inUrl)}`,
    () => '/plain/path',
  ])()
  const query = [`n=${i}`]
  for (let k = below(4); k > 0; k--)
    query.push(
      oneOf([
        () => `token=${secretText()}`,
        () => `t%6fken=${secretText()}`,
        () => secretText().replaceAll('=', ''),
        () => `q=card+${cardText(inUrl)}`,
        () => `q=https://u:${secretText()}@host/?token=${secretText()}`,
        () => `a[]=${secretText()}&a[]=${secretText()}`,
        () => `__proto__=${secretText()}`,
        () => `%zz=${secretText()}`,
      ])(),
    )
  const headers = [
    'Host: shop.example',
    `User-Agent: agent ${word()} ${below(3) === 0 ? cardText(inHeader) : below(1000)}`,
  ]
  for (let k = below(6); k > 0; k--)
    headers.push(
      oneOf([
        () => `${oneOf(hiddenNames)}: ${oneOf(['Bearer ', 'Basic ', ''])}${secretText()}`,
        () => `Cookie: theme=dark; session=${secretText()}; ${secretText().replaceAll('=', '')}`,
        () => `Referer: https://u:${secretText()}@shop.example/a?page=1&token=${secretText()}#${secretText()}`,
        () => `X-Request-Id: ${below(2) === 0 ? cardText(inHeader) : `id-${below(1e9)}`}`,
        () => `Accept-Language: ${word()}${cardText(inHeader)}${word()}`,
        () => `X-Note: ${word()}${cardText(inHeader)}`,
        () => `X-Forwarded-For: 203.0.113.${below(256)}, ${secretText()}`,
      ])(),
    )
  return `GET ${i % 16 === 0 ? '/hop' : ''}${path}?${query.join('&')} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`
}

const hashOf = (line: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

const placeOf = /"audit":\{"boot_id":"[^"]*","index":(\d+),"mono_us":\d+,"origin":"[^"]*\/(traffic|security|control)\//

/** A checkpoint as a line: all of it, for what is hash, key or signature looks like anything by chance. */
const base64 = (chars: number): string => `[A-Za-z0-9+/]{${chars}}`
const checkpointLine = new RegExp(
  [
    `^{"checkpoint":{"edge":\\[(?:"${base64(43)}=",?)*\\],`,
    `"note":"(?<origin>[a-z0-9/]+)\\\\n(?<size>\\d+)\\\\n${base64(43)}=\\\\n\\\\n\u2014 (?<name>[a-z0-9/]+) ${base64(91)}=\\\\n",`,
    `"origin":"\\k<origin>","reached":\\d+,"size":\\k<size>,"vkey":"\\k<name>\\+[0-9a-f]{8}\\+${base64(44)}"}}$`,
  ].join(''),
)

/** What a sink got: what each line hashes to, by its log and its index. */
class Got {
  readonly lines: Record<string, number[]> = { traffic: [], security: [], control: [] }
  /** How many lines the newest checkpoint covers, by its log. */
  readonly signed: Record<string, number> = {}
  readonly leaks: string[] = []
  count = 0
  twice = 0

  take(line: string): void {
    if (!line.startsWith('{"checkpoint":')) return this.#event(line)
    const { origin = '', size, name = '' } = checkpointLine.exec(line)?.groups ?? {}
    const leak = size === undefined ? line : leakIn(`${name} ${origin}`)
    if (leak !== undefined) this.leaks.push(leak)
    this.signed[origin.split('/')[2]!] = Number(size)
  }

  #event(line: string): void {
    const [, index, log] = placeOf.exec(line)!
    if (this.lines[log!]![Number(index)] !== undefined) this.twice++
    this.lines[log!]![Number(index)] = hashOf(line)
    this.count++
  }
}

it('finds what it looks for', () => {
  for (let i = 0; i < 1000; i++) expect(leakIn(` ${secretText()} `)).toBeDefined()
  for (const card of cards)
    for (const text of [card, card.replace(/\d{4}/g, '$& '), card.slice(1)]) expect(leakIn(text)).toBeDefined()
  expect(
    leakIn('"user-agent":["agent [card*1111]"],"request_id":"596bbb7c-a746-4c6e-a4ca-06d541eeed50"'),
  ).toBeUndefined()
})

it('has one valid line for each, and no secret in any sink', { timeout: 1_800_000 }, async () => {
  const dir = tempFolder()
  const posted = new Got()
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.on('end', () => {
      for (const line of Buffer.concat(chunks).toString().split('\n')) if (line !== '') posted.take(line)
      response.end()
    })
  }).listen(0, '127.0.0.1')
  const backend = createServer((request, response) => {
    request.resume()
    response.end('\u0001')
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    for (const server of [collector, backend]) {
      server.close()
      server.closeAllConnections()
    }
  })
  await Promise.all([collector, backend].map((server) => server.listening || once(server, 'listening')))
  const urlOf = (server: typeof collector): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const secret = units.join('').repeat(3)
  const given = {
    dir,
    collector: urlOf(collector),
    backend: urlOf(backend),
    secret,
    redact: {
      headers: { keep: ['host', 'user-agent', 'accept-language', 'referer', 'cookie', 'x-note'] },
      cookies: { keep: ['theme'] },
      query: { keep: ['n', 'q', 'page'] },
      path: ['/users/:id', '/users/:id/orders/:order', '/hop/users/:id', '/hop/users/:id/orders/:order'],
      key: secret,
      client: { pseudonym: { keys: join(dir, 'months') } },
    },
  }
  // What it prints is more than could be kept.
  const child = spawn(process.execPath, [program.path, JSON.stringify(given)], { stdio: 'pipe' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'close')
  const printed = new Got()
  const reading = createInterface({ input: child.stdout })
  reading.on('line', (line) => void printed.take(line))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await until(() => said.includes('port ') || child.exitCode !== null)
  const port = Number(/port (\d+)/.exec(said)![1])

  let sent = 0
  let answered = 0
  const began = performance.now()
  const worker = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' })
      let open = 0
      const fill = (): void => {
        let text = ''
        for (; open < pipelined && sent < requests; open++) text += requestText(sent++)
        if (text !== '') socket.write(text, 'latin1')
        else if (open === 0) {
          socket.end()
          resolve()
        }
      }
      socket.on('data', (chunk: Buffer) => {
        // Each response's body is this byte, and no head holds it.
        for (const byte of chunk) {
          if (byte !== 1) continue
          open--
          answered++
        }
        if (open < pipelined / 2 || sent >= requests) fill()
      })
      socket.on('error', reject)
      socket.on('close', () => (open === 0 ? resolve() : reject(new Error(`closed with ${open} open`))))
      fill()
    })
  child.stdin.write('change\n')
  await Promise.all(Array.from({ length: connections }, worker))
  const rate = (requests / (performance.now() - began)) * 1000
  child.stdin.write('change\n')
  await until(() => said.split('changed').length > 2)
  child.stdin.write('close\n')
  const [code] = await ended
  expect([code, answered]).toEqual([0, requests])
  expect(JSON.parse(/closed (.*)/.exec(said)![1]!)).toEqual({})

  const written = new Got()
  const seen = new Uint8Array(requests)
  const invalid: string[] = []
  const leaks: string[] = []
  const schemas = new Map<string, ReturnType<typeof eventSchema>>()
  for (const log of ['traffic', 'security', 'control']) {
    const segments = join(dir, 'one', log, 'segments')
    for (const name of readdirSync(segments).sort()) {
      for await (const line of createInterface({ input: createReadStream(join(segments, name)) })) {
        written.take(line)
        const leak = leakIn(line)
        if (leak !== undefined && leaks.length < 5) leaks.push(leak)
        const event = JSON.parse(line)
        const schema = schemas.get(event.event_name) ?? eventSchema(event.event_name)
        schemas.set(event.event_name, schema)
        const { error } = schema.safeParse(event)
        if (error !== undefined && invalid.length < 5) invalid.push(`${error.message} ${line}`)
        const faults = schemaFaults(schemaNameOf(event.event_name), event)
        if (faults !== undefined && invalid.length < 5) invalid.push(`${JSON.stringify(faults)} ${line}`)
        if (event.event_name === 'request.completed') seen[Number(event.url.query.n[0])]!++
      }
    }
  }
  expect(invalid).toEqual([])
  expect(seen.every((times) => times === 1)).toBe(true)
  expect(leaks).toEqual([])
  // Byte for byte the same lines everywhere: what is in none of the file's is in none at all.
  for (const sink of [posted, printed]) {
    expect([sink.count, sink.twice]).toEqual([written.count, 0])
    for (const [log, hashes] of Object.entries(written.lines))
      expect(hashes.every((hash, i) => sink.lines[log]![i] === hash)).toBe(true)
  }
  expect(written.twice).toBe(0)
  expect(printed.leaks).toEqual([])
  // On closing the last lines were signed too.
  expect(printed.signed).toEqual(
    Object.fromEntries(Object.entries(written.lines).map(([log, { length }]) => [log, length])),
  )
  expect(leakIn(said)).toBeUndefined()
  const peak = Math.round(process.resourceUsage().maxRSS / 1024)
  console.log(
    `${requests} requests, ${Math.round(rate)} a second, ${written.count} lines, checked in ${peak} MiB at most`,
  )
})
