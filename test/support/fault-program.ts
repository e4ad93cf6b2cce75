// Records events in a folder until it is told to stop, and says how many: for tests that take its disk away.
import { createAudit } from '../../src/audit/create.ts'
import { argv, stdout } from '../../src/runtime.ts'
import { fileSinkSchema, fileStore } from '../../src/sinks/file.ts'

const [dir = '', reserve = '65536', each = '10'] = argv()
const config = fileSinkSchema.parse({ dir, instance: 'a', durability: 'group', reserveBytes: Number(reserve) })
const segment = { maxBytes: 2_000_000, maxAgeMs: 1e9, compress: 'gzip' as const }
const told: string[] = []
const logger = {
  warn: (_: object, message: string) => told.push(message),
  error: (_: object, message: string) => told.push(message),
}
const audit = createAudit({ service: 'shop', sinks: [fileStore({ ...config, segment })], logger })
await audit.ready()
stdout.write('ready\n')
let stop = false
process.stdin.on('data', () => {
  stop = true
})
let [traffic, security] = [0, 0]
const text = 'x'.repeat(200)
while (!stop) {
  for (let i = 0; i < Number(each); i++) audit.record('app.x', { n: traffic++, text })
  audit.record('access.denied', { rule: 'r', detail: String(security++) })
  if (security % 100 === 0) stdout.write(`emitted ${traffic}\n`)
  await new Promise((resolve) => setTimeout(resolve, 5))
}
const { undelivered } = await audit.close({ deadlineMs: 20_000 })
process.stdin.pause()
stdout.write(`done ${JSON.stringify({ traffic, security, undelivered, told })}\n`)
