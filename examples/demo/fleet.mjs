// The backends of the demo as child processes: started, killed, and brought back on the port that they had.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const program = join(import.meta.dirname, 'backend.mjs')

export class Fleet {
  #members = new Map()

  /** Starts a backend and returns it in the form that the balancer's configuration has. */
  async start(id, port = 0) {
    const child = fork(program, [id, String(port)])
    const [told] = await once(child, 'message')
    if (told.port === undefined) throw new Error(`${id} cannot listen on ${port}: ${told.fault}`)
    this.#members.set(id, { child, port: told.port })
    return { id, url: `http://127.0.0.1:${told.port}` }
  }

  /** Kills it as a crash does: no warning, no goodbye. */
  async kill(id) {
    const { child } = this.#members.get(id)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Starts it again where it was. The system may lend the port to somebody for a moment. */
  async bringBack(id) {
    const { port } = this.#members.get(id)
    for (let tries = 1; ; tries++) {
      try {
        return await this.start(id, port)
      } catch (error) {
        if (tries === 20) throw error
        await pause(100)
      }
    }
  }

  stop() {
    for (const { child } of this.#members.values()) child.kill('SIGKILL')
  }
}
