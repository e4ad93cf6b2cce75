// What stands in a line of a stream: an event, a checkpoint, a part of a long line, or the text of somebody else.
import { maxLineBytes } from '../sink.ts'
import { type LoggedEvent, member, parseLine } from './envelope.ts'
import { type Hash, hashBytes, leafHash, toHash } from './merkle.ts'
import { fromBase64 } from './proof-file.ts'

export interface EventItem {
  readonly kind: 'event'
  readonly origin: string
  readonly index: number
  readonly leaf: Hash
  readonly event: LoggedEvent
}

/** `{"checkpoint":{"edge":["<base64>"],"note":"…","origin":"…","reached":1,"size":1,"vkey":"…"}}` */
export interface CheckpointItem {
  readonly kind: 'checkpoint'
  readonly note: string
  readonly origin: string
  readonly size: number
  readonly vkey: string
  /** Roots of the complete subtrees of the tree at this size, the largest first. */
  readonly edge: readonly Hash[] | undefined
  /** Those of the tree without its last line, where that names another key. */
  readonly edgeBefore: readonly Hash[] | undefined
  /** The index behind the last line that came before it. */
  readonly reached: number
}

/** `{"hashes":{"first":10,"leaves":"<base64>","origin":"…"}}`: what is known of lines that do not come. */
export interface HashesItem {
  readonly kind: 'hashes'
  readonly origin: string
  readonly first: number
  readonly leaves: readonly Hash[]
}

/** `{"chunk":{"of":"<origin>/<index>","part":1,"parts":2,"text":"…"}}` */
interface Chunk {
  readonly of: string
  readonly part: number
  readonly parts: number
  readonly text: string
}

export type StreamItem =
  | EventItem
  | CheckpointItem
  | HashesItem
  /** Ours by what it says, and damaged. */
  | { readonly kind: 'damaged' }
  /** A part of a line that others are missing of. */
  | { readonly kind: 'part' }
  | { readonly kind: 'fault'; readonly fact: string }
  | { readonly kind: 'other' }

const other: StreamItem = { kind: 'other' }
const damaged: StreamItem = { kind: 'damaged' }

/** What stands in lines of a log, in checkpoints and in chunks, written as the sink writes them, and in nobody else's. */
const marks =
  /^\{(?:"checkpoint":\{"edge":\[|"chunk":\{"of":"|"hashes":\{"first":|.*"audit":\{(?:"boot_id":"[^"]*",)?"index":)/s

/** What stands before a line of ours that somebody has put something before, as `docker compose logs` does. */
export function prefixOf(bytes: Buffer): string | undefined {
  const start = bytes.indexOf('{"')
  if (start < 1 || start > maxPrefix) return undefined
  return marks.test(bytes.toString('utf8', start)) ? bytes.toString('utf8', 0, start) : undefined
}

// Names of containers and pods, and times.
const maxPrefix = 200

// Lines of one log come one after the other, so that few can be incomplete at a time.
const maxOpen = 16
const maxParts = 64

/** Reads the lines of a stream, and puts those together that came in parts. */
export class StreamItems {
  /** By what they are parts of; the oldest first. */
  private readonly open = new Map<string, (string | undefined)[]>()

  /** How many lines wait for a part. */
  get incomplete(): number {
    return this.open.size
  }

  read(bytes: Buffer): StreamItem {
    if (bytes[0] !== 0x7b) return other
    const text = bytes.toString('utf8')
    const item = this.itemOf(bytes, parseLine(text))
    return item === other && marks.test(text) ? damaged : item
  }

  private itemOf(bytes: Buffer, event: LoggedEvent | undefined): StreamItem {
    if (event === undefined) return other
    if (Object.hasOwn(event, 'checkpoint')) return checkpointOf(event)
    if (Object.hasOwn(event, 'chunk')) return this.part(event)
    if (Object.hasOwn(event, 'hashes')) return hashesOf(event)
    return eventOf(event, () => leafHash(bytes))
  }

  private part(event: LoggedEvent): StreamItem {
    const chunk = chunkOf(event)
    if (chunk === undefined) return other
    const { of, part, parts, text } = chunk
    const texts =
      this.open.get(of)?.length === parts ? this.open.get(of)! : new Array<string | undefined>(parts).fill(undefined)
    texts[part - 1] = text
    this.open.set(of, texts)
    if (texts.includes(undefined)) {
      if (this.open.size > maxOpen) this.open.delete(this.open.keys().next().value!)
      return { kind: 'part' }
    }
    this.open.delete(of)
    const line = texts.join('')
    const item = line.length > maxLineBytes ? other : eventOf(parseLine(line) ?? {}, () => leafHash(line))
    const named = item.kind === 'event' ? `${item.origin}/${item.index}` : undefined
    return named === of ? item : { kind: 'fault', fact: `the parts of ${of} do not yield that line` }
  }
}

function eventOf(event: LoggedEvent, leaf: () => Hash): StreamItem {
  const [origin, index] = [member(event, 'audit', 'origin'), member(event, 'audit', 'index')]
  if (typeof origin !== 'string' || !isIndex(index)) return other
  return { kind: 'event', origin, index, leaf: leaf(), event }
}

function checkpointOf(event: LoggedEvent): StreamItem {
  const [note, origin, size, vkey, edge, edgeBefore, reached] = [
    'note',
    'origin',
    'size',
    'vkey',
    'edge',
    'edgeBefore',
    'reached',
  ].map((key) => member(event, 'checkpoint', key))
  if (typeof note !== 'string' || typeof origin !== 'string' || typeof vkey !== 'string' || !isIndex(size)) return other
  return {
    kind: 'checkpoint',
    note,
    origin,
    size,
    vkey,
    edge: edgeOf(edge),
    edgeBefore: edgeOf(edgeBefore),
    reached: isIndex(reached) && reached > size ? reached : size,
  }
}

function hashesOf(event: LoggedEvent): StreamItem {
  const [origin, first, leaves] = ['origin', 'first', 'leaves'].map((key) => member(event, 'hashes', key))
  const bytes = typeof leaves === 'string' ? fromBase64(leaves) : undefined
  if (typeof origin !== 'string' || !isIndex(first) || bytes === undefined) return other
  if (bytes.length === 0 || bytes.length % hashBytes !== 0) return other
  const count = bytes.length / hashBytes
  return {
    kind: 'hashes',
    origin,
    first,
    leaves: Array.from({ length: count }, (_, i) => toHash(bytes, i * hashBytes)),
  }
}

function edgeOf(value: unknown): Hash[] | undefined {
  if (!Array.isArray(value)) return undefined
  const bytes = value.map((one) => (typeof one === 'string' ? fromBase64(one) : undefined))
  return bytes.every((one) => one?.length === hashBytes) ? bytes.map((one) => toHash(one!)) : undefined
}

function chunkOf(event: LoggedEvent): Chunk | undefined {
  const [of, part, parts, text] = ['of', 'part', 'parts', 'text'].map((key) => member(event, 'chunk', key))
  if (typeof of !== 'string' || typeof text !== 'string' || !isIndex(part) || !isIndex(parts)) return undefined
  return part >= 1 && part <= parts && parts <= maxParts ? { of, part, parts, text } : undefined
}

const isIndex = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
