// Closes a balancer with its app.
import type { FastifyInstance } from 'fastify'
import type { Balancer } from '../../face.ts'

const deadlineMs = 10_000

/**
 * Fastify gives up a hook after `pluginTimeout`, and the close of the app fails then. Some of it is left for what follows the
 * deadline: records, and the log.
 */
export async function closeIn(app: FastifyInstance, balancer: Balancer): Promise<void> {
  const { pluginTimeout = deadlineMs } = app.initialConfig
  const most = pluginTimeout === 0 ? deadlineMs : Math.floor(pluginTimeout * 0.7)
  await balancer.close({ deadlineMs: Math.min(deadlineMs, most) })
}
