// Starts a child on its core, waits for its first message, and ends it by its own pid.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const START_MS = 15_000
const STOP_MS = 15_000
const STDERR_KEPT = 2000

/** stdout is /dev/null; stderr is kept, its end only, for whoever reports a child that died. */
export function start(file, cores, ...args) {
  const node = [process.execPath, file, ...args]
  const [command, ...rest] = cores === undefined ? node : ['taskset', '-c', cores, ...node]
  const child = spawn(command, rest, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  child.lastWords = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    child.lastWords = (child.lastWords + text).slice(-STDERR_KEPT)
  })
  return child
}

/** The next message of a child; rejects when it exits or stays silent instead. */
export async function message(child, timeoutMs = START_MS) {
  const over = new AbortController()
  const options = { signal: AbortSignal.any([over.signal, AbortSignal.timeout(timeoutMs)]) }
  try {
    const gone = once(child, 'close', options).then(([code, signal]) => {
      throw new Error(`exited with ${signal ?? code}`)
    })
    const [reply] = await Promise.race([once(child, 'message', options), gone])
    return reply
  } catch (error) {
    throw error.name === 'AbortError' ? new Error(`no answer within ${timeoutMs} ms`) : error
  } finally {
    over.abort()
  }
}

/** Children end when the channel closes; one that does not is killed, and then `pid`, the server it runs, too. */
export async function stop(child, pid) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  const timer = setTimeout(() => {
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    child.kill('SIGKILL')
  }, STOP_MS)
  if (child.connected) child.disconnect()
  await exited
  clearTimeout(timer)
}
