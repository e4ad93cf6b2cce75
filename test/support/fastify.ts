// The versions of Fastify that the adapter is for, and an app of either on a free port.
import fastify5, { type FastifyInstance } from 'fastify'
import fastify4 from 'fastify4'
import { onTestFinished } from 'vitest'
import { closeAfterTest } from './closing.ts'

/** The types of the two differ, what is used of them does not. */
export type MakeApp = typeof fastify5

export const versions: readonly (readonly [version: 4 | 5, make: MakeApp])[] = [
  [4, fastify4 as unknown as MakeApp],
  [5, fastify5],
]

/** Has the app listen on a free port until the test is over. */
export async function serveApp(app: FastifyInstance): Promise<number> {
  onTestFinished(() => app.close())
  await app.ready()
  closeAfterTest(app.server)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as { port: number }).port
}
