// Writes an audit trail to a folder and to standard output, while its keys change; the verifier key to keep goes to standard error.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAudit } from '../../src/audit/create.ts'
import { vkeyOf } from '../../src/log/note.ts'
import { argv, stderr } from '../../src/runtime.ts'
import type { LogName } from '../../src/sink.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'
import { until } from './until.ts'

const [dir = '', pem = '', only, late] = argv()
const master = pem === '' ? undefined : createPrivateKey(readFileSync(pem))
const key =
  master === undefined
    ? undefined
    : { publicKey: createPublicKey(master), sign: (text: Uint8Array) => sign(null, text, master), certify: true }
const published = (): string | undefined => {
  const path = join(dir, 'web/vkey')
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
}
const before = published()
const file = fileSink({ dir, instance: 'web', ...(key && { key }) })
const stdout = stdoutSink({ format: 'json', ...(only && { filter: { logs: [only as LogName] } }) })
const audit = createAudit({ service: 'shop', sinks: late === undefined ? [file, stdout] : [file] })
await audit.ready()
if (late !== undefined) {
  await audit.rotateKey()
  audit.addSink(stdout)
}
const kept = master === undefined ? published() : vkeyOf('shop/web', master)
stderr.write(`${kept}\n`)
const record = () => {
  for (let i = 0; i < 10; i++) audit.record('app.x', { i })
}
record()
// Once all logs are handed over to the key of this start it is the one beside them.
if (master !== undefined) await until(() => ![undefined, kept, before].includes(published()))
for (let i = 0; key === undefined && late === undefined && i < 2; i++) {
  await audit.rotateKey()
  record()
}
await audit.close()
