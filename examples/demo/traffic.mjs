// The clients of the demo: real requests over real sockets, a bounded number at a time.
import { Pool } from 'undici'

const concurrency = 24
const paths = ['/', '/cart', '/orders/17', '/search?q=lamp&token=s3cret', '/avatar.png']

export class Traffic {
  /** What the clients saw: answers by method, and those of them that were failures. */
  seen = { GET: 0, POST: 0, failedGET: 0, failedPOST: 0 }
  #pool
  #stopAt = Number.POSITIVE_INFINITY
  #watchers = []
  #ended

  constructor(origin) {
    this.#pool = new Pool(origin, { connections: concurrency })
  }

  get count() {
    return this.seen.GET + this.seen.POST
  }

  start() {
    this.#ended = Promise.all(Array.from({ length: concurrency }, () => this.#client()))
  }

  /** Resolves once so many more requests were answered. */
  more(n) {
    return new Promise((resolve) => this.#watchers.push({ at: this.count + n, resolve }))
  }

  /** Goes on until there were at least so many in all. */
  async finish(total) {
    this.#stopAt = total
    await this.#ended
    await this.#pool.close()
  }

  async #client() {
    while (this.count < this.#stopAt) {
      const method = this.count % 10 === 9 ? 'POST' : 'GET'
      const failed = await this.#ask(method, paths[this.count % paths.length])
      this.seen[method]++
      if (failed) this.seen[`failed${method}`]++
      for (const watcher of this.#watchers) if (this.count >= watcher.at) watcher.resolve()
    }
  }

  async #ask(method, path) {
    try {
      const body = method === 'POST' ? JSON.stringify({ at: this.count }) : undefined
      const headers = { 'user-agent': 'demo-client', authorization: 'Bearer not-for-the-log' }
      const response = await this.#pool.request({ method, path, headers, body })
      await response.body.dump()
      return response.statusCode !== 200
    } catch {
      return true
    }
  }
}
