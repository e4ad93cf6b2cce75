// Writes an audit trail to standard output and says on standard error when it is done.
import { createAudit } from '../../src/audit/create.ts'
import { argv, stderr, stdin } from '../../src/runtime.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'

const [format = 'auto', count = '3', length = '3', until = 'done'] = argv()
const sink = stdoutSink({ format: format as 'auto', maxLineBytes: 4096 })
const audit = createAudit({ sinks: [sink], service: 'shop' })
const text = 'a\nb'.padEnd(Number(length), '"é')
for (let i = 0; i < Number(count); i++)
  audit.record('app.x', {
    i,
    texts: Array.from({ length: Math.ceil(text.length / 1000) }, (_, n) => text.slice(n * 1000, n * 1000 + 1000)),
  })
// Until somebody has told it to go on.
if (until === 'told') {
  await new Promise((resolve) => stdin().once('data', resolve))
  stdin().destroy()
}
const { undelivered } = await audit.close({ deadlineMs: 2000 })
stderr.write(`undelivered ${undelivered.stdout ?? 0}\n`)
