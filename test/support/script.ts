// Runs a program as users run it: plain JavaScript in a process of its own, which imports the built package.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Script {
  /** What the first match of this pattern in what it writes captured; rejects if the program ends without one. */
  said(pattern: RegExp, stream?: 'stdout' | 'stderr'): Promise<string>
  /** Asks it to end, and resolves once it has. */
  stop(): Promise<Ended>
  readonly ended: Promise<Ended>
}
interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts a program; it is killed when the test is over. */
export function startScript(
  path: string,
  options: { args?: readonly string[]; cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Script {
  const child = spawn(process.execPath, [path, ...(options.args ?? [])], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  const looks = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    for (const look of looks) look()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    for (const look of looks) look()
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return {
    ended,
    stop() {
      child.kill('SIGTERM')
      return ended
    },
    said: (pattern, stream = 'stdout') =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(stream === 'stdout' ? stdout : stderr)
          if (match === null) return
          looks.delete(look)
          resolve(match[1] ?? match[0])
        }
        looks.add(look)
        void ended.then(() => reject(new Error(`it ended without saying ${pattern}: ${stdout}${stderr}`)))
        look()
      }),
  }
}

/** A real backend, which answers with its name and what it was asked for; returns its port. */
export async function startBackend(name: string): Promise<number> {
  const server: Server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ backend: name, path: request.url }))
  })
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

let nextPort = 10_000 + (process.pid % 2000) * 10

/** A port on which nobody listens now: none that the system hands out, for somebody else would get it before it is listened on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = nextPort++
    const server = createTcpServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
