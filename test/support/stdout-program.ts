// Writes an audit trail to standard output and says on standard error when it is done.
import { createAudit } from '../../src/audit/create.ts'
import { argv, stderr } from '../../src/runtime.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'

const [format = 'auto', count = '3'] = argv()
const audit = createAudit({ sinks: [stdoutSink({ format: format as 'auto' })], service: 'shop' })
for (let i = 0; i < Number(count); i++) audit.record('app.x', { i, text: 'a\nb' })
const { undelivered } = await audit.close({ deadlineMs: 500 })
stderr.write(`undelivered ${undelivered.stdout ?? 0}\n`)
