// Writes lines and ends the process without closing the log, but for flushSync: for tests of what is on disk then.
import { argv, stdout } from '../../src/runtime.ts'
import { openLog } from './log.ts'

const [dir = '', turns = '0'] = argv()
const log = await openLog({ dir, instance: 'a', segment: { maxBytes: 4000 } })
process.on('exit', () => log.sink.flushSync!())
log.write('traffic', 300)
void log.sink.durable('traffic', log.write('traffic', 1))
for (let turn = 0; turn < Number(turns); turn++) await new Promise(setImmediate)
const last = log.write('traffic', 30)
stdout.write(String(last + 1), () => process.exit(7))
