// Runs a proxy that is not a Node program: a free port, a child in the foreground, its pid for the figures.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { endWithRunner } from './peer.mjs'

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function accepts(port) {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** `stdout` is a file descriptor or 'ignore'. When the proxy ends by itself, so does this process. */
export async function runNative(port, command, args, { stdout = 'ignore', env = {} } = {}) {
  const child = spawn(command, args, { stdio: ['ignore', stdout, 'inherit'], env: { ...process.env, ...env } })
  child.once('error', (error) => {
    throw error
  })
  const exited = once(child, 'exit')
  exited.then(([code]) => process.exit(code ?? 1))
  endWithRunner(async () => {
    child.kill('SIGTERM')
    await exited
  })
  while (!(await accepts(port))) await sleep(20)
  process.send({ port, pid: child.pid })
}
