// Writes lines to a folder without end and says which are durable: for tests that kill it.
import { argv, stdout } from '../../src/runtime.ts'
import { openLog } from './log.ts'

const [dir = '', instance = 'a'] = argv()
const log = await openLog({
  dir,
  instance,
  durability: 'group',
  segment: { maxBytes: 100_000 },
  checkpoint: { lines: 70 },
})
stdout.write(`instance ${log.opened.instance}\n`)
for (let round = 0; ; round++) {
  const last = log.write('traffic', 37)
  await log.sink.durable('traffic', last)
  stdout.write(`durable ${last}\n`)
  if (round === 30) stdout.write('durable-many\n')
}
