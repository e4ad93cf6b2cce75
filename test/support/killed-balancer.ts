// Balancers in processes of their own under load, to be killed: what their clients got, and what is in their folders.
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { type LogName, logNames } from '../../src/sink.ts'
import { httpBackend } from './backends.ts'
import { type Program, start } from './program.ts'

const program = join(import.meta.dirname, 'killed-balancer-program.mjs')

/** What a log looks like on disk, seen by nothing of ours. */
interface OnDisk {
  /** Lines that its checkpoint covers. */
  readonly signed: number
  /** Whole lines. */
  readonly lines: number
  /** Bytes behind the last whole line. */
  readonly rest: number
}

/** Undefined for a log that was not begun. */
function onDisk(dir: string, instance: string, log: LogName): OnDisk | undefined {
  try {
    const home = join(dir, instance, log)
    const signed = Number(readFileSync(join(home, 'checkpoint'), 'utf8').split('\n')[1])
    const segments = join(home, 'segments')
    const [name] = readdirSync(segments)
      .filter((one) => /^\d{16}\.jsonl$/.test(one))
      .sort()
      .slice(-1)
    const last = readFileSync(join(segments, name!))
    let lines = Number.parseInt(name!, 10)
    for (let at = last.indexOf(0x0a); at !== -1; at = last.indexOf(0x0a, at + 1)) lines++
    return { signed, lines, rest: last.length - 1 - last.lastIndexOf(0x0a) }
  } catch {
    return undefined
  }
}

export type Logs = Partial<Record<LogName, OnDisk>>

export const logsOnDisk = (dir: string, instance: string): Logs =>
  Object.fromEntries(
    logNames.flatMap((log) => {
      const found = onDisk(dir, instance, log)
      return found === undefined ? [] : [[log, found]]
    }),
  )

// biome-ignore lint/suspicious/noExplicitAny: events of the log itself, parsed.
type Heard = any

export interface Killed {
  readonly instance: string
  /** As its log was before it was started. */
  readonly before: Logs
  readonly program: Program
  /** What each connection was answered whole, in order: our ids, and when it came. */
  readonly answered: { readonly id: string; readonly at: number }[][]
  /** Once it is dead: the events of its own log that it told of, and its looks. */
  heard: Heard[]
  /** Whether it got as far as to listen: it has told then of all that it found at its start. */
  listened: boolean
  looks: { readonly last: number; readonly quiet: boolean }[]
}

/** A backend that answers in all ways that a balancer has to tell of. */
export const mixedBackend = () =>
  httpBackend((incoming, response) => {
    if (incoming.url === '/cut') return void response.destroy()
    if (incoming.method === 'POST') return void incoming.pipe(response)
    if (incoming.url !== '/chunks') return void response.end('hello')
    response.write('x'.repeat(10_000))
    response.write('y'.repeat(10_000))
    response.end('z')
  })

const kinds: readonly (readonly [string, string])[] = [
  ['GET', '/'],
  ['GET', '/chunks'],
  ['POST', '/'],
  ['GET', '/'],
  ['GET', '/cut'],
  ['HEAD', '/'],
]

/** Resolves to our id of a request once its response is whole; to undefined if that never comes. */
const ask = (agent: Agent, port: number, nth: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const [method, path] = kinds[nth % kinds.length]!
    const body = method === 'POST' ? 'b'.repeat(500) : undefined
    const headers = body === undefined ? {} : { 'content-length': body.length }
    const sent = request({ agent, port, host: '127.0.0.1', method, path, headers }, (response) => {
      response
        .on('error', () => undefined)
        .on('close', () => {
          resolve(response.complete ? String(response.headers['x-request-id']) : undefined)
        })
      response.resume()
    })
    sent.on('error', () => resolve(undefined)).end(body)
  })

export type Size = 'small' | 'usual'

/** With `small` segments it rotates all the time. */
export function startKilled(dir: string, instance: string, durability: string, backend: string, size: Size): Killed {
  const before = logsOnDisk(dir, instance)
  const started = start(program, dir, instance, durability, backend, size)
  return { instance, before, program: started, answered: [], heard: [], listened: false, looks: [] }
}

export interface Load {
  /** Resolves once so many were answered. */
  readonly enough: Promise<void>
  /** Resolves once the other side is gone. */
  readonly over: Promise<void>
}

/** Asks without end over each of so many connections. */
export function load(killed: Killed, connections: number, wanted: number): Load {
  let left = wanted
  let reached = () => {}
  const enough = new Promise<void>((resolve) => {
    reached = resolve
  })
  const connection = async (port: number, from: number): Promise<void> => {
    const mine: Killed['answered'][number] = []
    killed.answered.push(mine)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let nth = from; ; nth++) {
      const id = await ask(agent, port, nth)
      if (id === undefined) break
      mine.push({ id, at: performance.now() })
      if (--left === 0) reached()
    }
    agent.destroy()
  }
  const over = killed.program.said('listening').then(
    async (port) => {
      await Promise.all(Array.from({ length: connections }, (_, from) => connection(Number(port), from)))
    },
    () => undefined,
  )
  return { enough, over }
}

/** What it has printed, once it is dead. */
export async function told(killed: Killed): Promise<{ stderr: string }> {
  const { stdout, stderr } = await killed.program.ended
  const all = (word: string) =>
    [...stdout.matchAll(new RegExp(`^${word} (.*)$`, 'gm'))].map(([, text]) => JSON.parse(text!))
  killed.heard = all('heard')
  killed.listened = /^listening /m.test(stdout)
  killed.looks = all('look')
  return { stderr }
}
