// Writes lines, rotates, compresses, prunes and changes keys without end, and says what is durable: for tests that kill it.
import { argv, stdout } from '../../src/runtime.ts'
import { openLog } from './log.ts'

const [dir = ''] = argv()
const log = await openLog({
  dir,
  instance: 'a',
  durability: 'group',
  maxBytes: 150_000,
  segment: { maxBytes: 15_000, compress: 'gzip' },
  checkpoint: { lines: 30 },
})
stdout.write('open\n')
let rotating = false
for (let round = 0; ; round++) {
  const last = log.write('traffic', 23)
  log.write('control', 2)
  if (round % 10 === 5 && !rotating) {
    rotating = true
    void log.sink.rotateKey!().then(() => {
      rotating = false
      stdout.write('rotated\n')
    })
  }
  await log.sink.durable('traffic', last)
  stdout.write(`durable ${last}\n`)
}
