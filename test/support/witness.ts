// Witnesses for tests, at real sockets, and logs that can be sent to one line by line.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { formatCheckpoint } from '../../src/log/checkpoint.ts'
import { fromHash, leafHash, Tree } from '../../src/log/merkle.ts'
import { type KeySigner, signNote } from '../../src/log/note.ts'
import type { LogName } from '../../src/sink.ts'
import type { WitnessOptions } from '../../src/witness/index.ts'
import { createServer, createWitness, type OriginChange, type Refused, type Witness } from '../../src/witness/index.ts'
import { newSigner } from './hand-log.ts'
import { lineAt } from './log.ts'
import { naiveConsistency } from './naive-tree.ts'

export const token = 'a-token-of-the-tests'

export interface TestWitness {
  readonly witness: Witness
  readonly url: string
  readonly dir: string
  readonly vkey: string
  readonly changes: OriginChange[]
  readonly refusals: Refused[]
  readonly told: string[]
  close(): Promise<void>
}

/** Starts a witness behind a server of its own; it is closed when the test is over. */
export async function startWitness(options: Partial<WitnessOptions> & { dir: string }): Promise<TestWitness> {
  const told: string[] = []
  const tell = (_: object, message: string): void => void told.push(message)
  const witness = createWitness({ tokens: [token], logger: { warn: tell, error: tell }, ...options })
  const changes: OriginChange[] = []
  const refusals: Refused[] = []
  witness.on('origin', (change) => changes.push(change))
  witness.on('refused', (refused) => refusals.push(refused))
  const vkey = await witness.ready()
  const server = createServer(witness).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    closed ??= (async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await witness.close()
    })()
    return closed
  }
  onTestFinished(close)
  const { port } = server.address() as AddressInfo
  return { witness, url: `http://127.0.0.1:${port}`, dir: options.dir, vkey, changes, refusals, told, close }
}

export interface Reply {
  readonly status: number
  readonly text: string
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: what a test expects of it is what it holds
  readonly json: any
}

export async function post(url: string, headers: Record<string, string>, body: string | Uint8Array): Promise<Reply> {
  const auth: Record<string, string> = headers.authorization === undefined ? { authorization: `Bearer ${token}` } : {}
  const response = await fetch(url, { method: 'POST', headers: { ...auth, ...headers }, body })
  const text = await response.text()
  const { status, headers: got } = response
  return { status, text, headers: got, json: text.startsWith('{') ? JSON.parse(text) : undefined }
}

/** A log that its writer holds in memory. */
export class SentLog {
  readonly lines: string[] = []
  readonly tree = new Tree()
  signer: KeySigner

  constructor(
    public url: string,
    readonly log: LogName = 'traffic',
    readonly writer = 'shop/host.0',
    readonly id = '00aa',
    signer?: KeySigner,
  ) {
    this.signer = signer ?? newSigner(writer)
  }

  get origin(): string {
    return `${this.writer}/${this.log}/${this.id}`
  }

  /** Makes so many lines; nothing is sent. */
  make(count: number, fields: Record<string, unknown> = {}): this {
    for (let i = 0; i < count; i++) {
      const line = lineAt(this.origin, this.lines.length, fields)
      this.lines.push(line)
      this.tree.push(leafHash(line))
    }
    return this
  }

  /** Sends lines `[from, to)`. */
  send(from = 0, to = this.lines.length, headers: Record<string, string> = {}): Promise<Reply> {
    return this.sendBody(
      from,
      this.lines
        .slice(from, to)
        .map((line) => `${line}\n`)
        .join(''),
      headers,
    )
  }

  sendBody(from: number, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Reply> {
    return post(`${this.url}/lines`, { 'auditlb-origin': this.origin, 'auditlb-first': String(from), ...headers }, body)
  }

  sendLeaves(from: number, to: number): Promise<Reply> {
    const hashes = this.lines.slice(from, to).map((line) => fromHash(leafHash(line)))
    const headers = { 'auditlb-origin': this.origin, 'auditlb-first': String(from) }
    return post(`${this.url}/leaves`, headers, Buffer.concat(hashes))
  }

  /** The signed checkpoint of the first `size` lines. */
  note(size = this.lines.length, signer = this.signer): string {
    const tree = new Tree()
    for (const line of this.lines.slice(0, size)) tree.push(leafHash(line))
    return signNote(formatCheckpoint({ origin: this.origin, size, root: tree.root() }), signer)
  }

  checkpoint(notes: string | readonly string[] = this.note(), vkey = this.signer.vkey): Promise<Reply> {
    const body = [notes].flat().join('')
    return post(`${this.url}/checkpoint`, { 'auditlb-origin': this.origin, 'auditlb-vkey': vkey }, body)
  }

  proof(old: number, size: number): string[] {
    const leaves = this.lines.slice(0, size).map((line) => leafHash(line))
    return naiveConsistency(old, leaves).map((one) => fromHash(one).toString('base64'))
  }

  /** C2SP tlog-witness. */
  addCheckpoint(old: number | string, proof: readonly string[], note: string): Promise<Reply> {
    const body = `old ${old}\n${proof.map((line) => `${line}\n`).join('')}\n${note}`
    return post(`${this.url}/add-checkpoint`, {}, body)
  }
}
