// Several balancers in one app that share one trail: one folder that holds, with the lines of all of them.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import express from 'express'
import { describe, expect, it, onTestFinished } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { attach, nodeHandler } from '../../src/adapters/node.ts'
import { createAudit } from '../../src/audit/create.ts'
import { createBalancer } from '../../src/balancer.ts'
import type { Balancer } from '../../src/face.ts'
import { queryLog } from '../../src/log/query.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { tempFolder } from '../support/folder.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'
import { handshake } from '../support/upgrades.ts'

interface Pools {
  readonly orders: Balancer
  readonly payments: Balancer
}

interface Host {
  readonly name: string
  /** Whether the adapter tells the mount: `http.route`. */
  readonly routed: boolean
  /** Whether upgrades go to the mounts. */
  readonly upgrades: boolean
  serve(pools: Pools): Promise<number>
}

const served = (server: Server): Promise<number> => {
  closeAfterTest(server)
  return listen(server)
}

/** Hands over below a path, which it strips, as a plain server would do it. */
const below =
  (path: string, { port }: Balancer) =>
  (request: IncomingMessage, response: ServerResponse): boolean => {
    const { url = '' } = request
    if (!url.startsWith(`${path}/`)) return false
    port.handle(request, response, { target: url.slice(path.length), originalTarget: url, route: path })
    return true
  }

const hosts: readonly Host[] = [
  ...versions.map(([version, fastify]) => ({
    name: `Fastify ${version}`,
    routed: true,
    upgrades: true,
    serve({ orders, payments }: Pools) {
      const app = fastify()
      app.register(fastifyBalancer, { balancer: orders, prefix: '/orders' })
      app.register(fastifyBalancer, { balancer: payments, prefix: '/pay' })
      return serveApp(app)
    },
  })),
  {
    name: 'Express 5',
    routed: false,
    upgrades: false,
    serve({ orders, payments }) {
      const app = express()
      app.use('/orders', expressBalancer(orders))
      app.use('/pay', expressBalancer(payments))
      return served(createServer(app))
    },
  },
  {
    name: 'a plain server',
    routed: true,
    upgrades: false,
    serve({ orders, payments }) {
      const [one, two, rest] = [below('/orders', orders), below('/pay', payments), nodeHandler(payments)]
      return served(
        attach(
          createServer((request, response) => {
            if (!one(request, response) && !two(request, response)) rest(request, response)
          }),
          orders,
        ),
      )
    },
  },
]

for (const { name, routed, upgrades, serve } of hosts)
  describe(`two pools in ${name}`, () => {
    it('have one log, which holds, and tells their lines apart', async () => {
      const dir = join(tempFolder(), 'audit')
      const audit = createAudit({ service: 'shop', sinks: [fileSink({ dir })] })
      await audit.ready()
      const [one, two] = [await answering(), await answering()]
      const orders = createBalancer({ name: 'orders', backends: [one.url], audit })
      const payments = createBalancer({ name: 'payments', backends: [two.url], audit })
      onTestFinished(async () => {
        await orders.close({ deadlineMs: 0 })
        await payments.close({ deadlineMs: 0 })
        await audit.close()
      })
      const port = await serve({ orders, payments })
      const asked = [
        ['/orders/7', 'orders', '/orders', '/7'],
        ['/pay/visa?x=1', 'payments', '/pay', '/visa'],
        ['/orders/8', 'orders', '/orders', '/8'],
      ]
      for (const [path] of asked) expect(await send(port, { path: path! })).toMatchObject({ status: 200 })
      if (upgrades) {
        asked.push(['/pay/live', 'payments', '/pay', '/live'], ['/orders/live', 'orders', '/orders', '/live'])
        for (const [path] of asked.slice(3)) await (await rawClient(port, handshake(path!))).ended
      }
      await until(() => orders.snapshot().inFlight + payments.snapshot().inFlight === 0)
      await orders.close()
      await payments.close()
      await audit.close()
      expect(await verifyLog(dir)).toMatchObject({ ok: true })
      const lines: unknown[] = []
      for await (const event of queryLog(dir, { type: 'request.completed' })) {
        const { lb, http, url } = event as never as {
          lb: { pool: string }
          http: { route?: string }
          url: { path: string; original_path?: string }
        }
        lines.push([url.original_path, lb.pool, routed ? http.route : undefined, url.path])
      }
      expect(lines).toEqual(
        asked.map(([path, pool, route, target]) => [path!.split('?')[0], pool, routed ? route : undefined, target]),
      )
      expect([one.seen.length, two.seen.length]).toEqual(upgrades ? [3, 2] : [2, 1])
    })
  })
