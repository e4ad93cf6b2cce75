// A name server for tests, over real datagrams: it answers what it is told, or does everything wrong.
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { onTestFinished } from 'vitest'

type RecordType = 'A' | 'AAAA' | 'SRV'
const types: Readonly<Record<RecordType, number>> = { A: 1, AAAA: 28, SRV: 33 }

interface ServiceRecord {
  readonly target: string
  readonly port: number
  readonly priority?: number
  readonly weight?: number
}
export type Reply =
  | { readonly ttl?: number; readonly records: readonly (string | ServiceRecord)[] }
  | 'nxdomain'
  | 'servfail'
  | 'refused'
  | 'silence'
  | 'garbage'
  | 'cut-short'
  | 'truncated'

export interface DnsServer {
  /** For `servers`. */
  readonly address: string
  /** What is answered, by type and name: `A shop.test`. What is not here does not exist. */
  readonly zone: Map<string, Reply>
  /** Every question so far, in the same form. */
  readonly asked: string[]
  /** How often this was asked. */
  count(question: string): number
}

/** Ends with the test. */
export async function dnsServer(zone: Readonly<Record<string, Reply>> = {}): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const replies = new Map(Object.entries(zone))
  const asked: string[] = []
  socket.on('message', (message, { port, address }) => {
    const { question, end } = questionOf(message)
    asked.push(question)
    const datagram = answerTo(message.subarray(0, end), question, replies)
    if (datagram !== undefined) socket.send(datagram, port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => void socket.close(() => resolve())))
  return {
    address: `127.0.0.1:${socket.address().port}`,
    zone: replies,
    asked,
    count: (question) => asked.filter((one) => one === question).length,
  }
}

function questionOf(message: Buffer): { question: string; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const code = message.readUInt16BE(at + 1)
  const type = Object.entries(types).find(([, number]) => number === code)?.[0] ?? String(code)
  return { question: `${type} ${labels.join('.').toLowerCase()}`, end: at + 5 }
}

function answerTo(query: Buffer, question: string, zone: ReadonlyMap<string, Reply>): Buffer | undefined {
  const [type, name] = question.split(' ') as [RecordType, string]
  const exists = [...zone].some(([key, reply]) => key.endsWith(` ${name}`) && typeof reply === 'object')
  const reply = zone.get(question) ?? (exists ? { records: [] } : 'nxdomain')
  switch (reply) {
    case 'silence':
      return undefined
    case 'garbage':
      return Buffer.concat([query.subarray(0, 2), Buffer.alloc(40, 0xff)])
    case 'nxdomain':
      return headed(query, 3, [])
    case 'servfail':
      return headed(query, 2, [])
    case 'refused':
      return headed(query, 5, [])
    case 'truncated':
      // Nobody listens at this port by TCP.
      return headed(query, 0, [], 0x0200)
    case 'cut-short':
      // It promises an answer, and a length, that it does not have.
      return headed(query, 0, [Buffer.from([0xc0, 0x0c, 0, types[type], 0, 1, 0, 0, 0, 60, 0xff, 0xff, 1])])
    default:
      return headed(
        query,
        0,
        reply.records.map((record) => resource(type, reply.ttl ?? 60, dataOf(record))),
      )
  }
}

function headed(query: Buffer, code: number, answers: readonly Buffer[], flags = 0): Buffer {
  const head = Buffer.from(query)
  head.writeUInt16BE(0x8180 | flags | code, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(answers.length, 6)
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, ...answers])
}

function resource(type: RecordType, ttl: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(types[type], 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(ttl, 6)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function dataOf(record: string | ServiceRecord): Buffer {
  if (typeof record === 'string') return isIPv6(record) ? v6(record) : Buffer.from(record.split('.').map(Number))
  const { target, port, priority = 0, weight = 0 } = record
  const head = Buffer.alloc(6)
  head.writeUInt16BE(priority, 0)
  head.writeUInt16BE(weight, 2)
  head.writeUInt16BE(port, 4)
  const labels = target.split('.').filter((label) => label !== '')
  const name = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]))
  return Buffer.concat([head, ...name, Buffer.from([0])])
}

function v6(address: string): Buffer {
  const [left = '', right = ''] = address.split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16))
  const [before, after] = [groups(left), groups(right)]
  const all = address.includes('::')
    ? [...before, ...Array(8 - before.length - after.length).fill(0), ...after]
    : before
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}
