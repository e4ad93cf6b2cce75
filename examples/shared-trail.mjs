// One audit trail for two balancers and for the service itself: one log to verify, one order of events.
import { createAudit, createBalancer, fileSink, queryLog, verifyLog } from 'auditlb'
import { startBackends } from './backends.mjs'

const dir = process.env.AUDIT_DIR ?? './audit'
const audit = createAudit({ service: 'shop', sinks: [fileSink({ dir })] })
await audit.ready()

const orders = createBalancer({ name: 'orders', backends: await startBackends('o1', 'o2'), audit })
const payments = createBalancer({ name: 'payments', backends: await startBackends('p1'), audit })

for (let i = 0; i < 3; i++) orders.pick({ path: '/orders' }).done({ result: 'ok' })
payments.pick({ path: '/pay' }).done({ result: 'ok', status: 201 })
await payments.as({ id: 'ops', type: 'user' }).setWeight('p1', 2, { message: 'a bigger machine' })
audit.record('app.stock.counted', { shelf: 'A4', pieces: 12 })

// The trail is closed by who made it, after the balancers.
await orders.close()
await payments.close()
await audit.close()

const counts = {}
for await (const event of queryLog(dir, { since: '1h' })) {
  const name = `${event.lb?.pool ?? 'shop'} ${event.event_name}`
  counts[name] = (counts[name] ?? 0) + 1
}
for (const [name, n] of Object.entries(counts).sort()) console.log(`${n} ${name}`)
const { ok, instances } = await verifyLog(dir)
console.log(ok ? `the log of ${instances.map(({ instance }) => instance).join(', ')} holds` : 'the log does not hold')
process.exitCode = ok ? 0 : 1
