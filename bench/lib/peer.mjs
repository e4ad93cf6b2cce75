// What every peer shares: its backends, its folder, and how it tells its port and ends.

/** `dir` is empty, and removed after the round. */
export const { backends, dir } = JSON.parse(process.argv[2])

/** Each call gives the next of the items, around and around. */
export function roundRobin(items) {
  let next = 0
  return () => {
    const item = items[next]
    next = (next + 1) % items.length
    return item
  }
}

/** Ends when the runner lets go, after `close`, which writes what is still buffered. */
export function endWithRunner(close) {
  process.once('disconnect', async () => {
    await close?.()
    process.exit()
  })
}

/** Idle connections outlive the turns of the other peers. */
export function listen(server, close) {
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
  endWithRunner(close)
}
