// One subject in a process of its own: prints what an event costs it, as JSON.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requestOf } from './requests.mjs'
import { subjects } from './writers.mjs'

const [name, count] = JSON.parse(process.argv[2])
/** As many requests as end in one turn of the event loop under load. */
const perTurn = 32
/** After so many events, all must be on disk before it goes on: what waits without end would be lost, and cost nothing. */
const perWindow = 4096
const warmUp = 8

/** CPU time of the main thread alone, in ns (Linux, schedstat of proc(5)). */
const threadNs = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0])
const processUs = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const dir = mkdtempSync(join(tmpdir(), 'auditlb-event-'))
const subject = await subjects[name](dir)
let n = 0

const emit = () =>
  new Promise((resolve) => {
    const last = n + perWindow
    const turn = () => {
      for (let i = 0; i < perTurn; i++) subject.record(requestOf(n++))
      if (n < last) setImmediate(turn)
      else resolve(subject.settle())
    }
    turn()
  })

for (let i = 0; i < warmUp; i++) await emit()
const windows = []
const before = processUs()
for (let i = 0; i < Math.ceil(count / perWindow); i++) {
  const start = threadNs()
  await emit()
  windows.push((threadNs() - start) / 1000 / perWindow)
}
const whole = (processUs() - before) / (windows.length * perWindow)
await subject.close()
const bytes = subject.files().reduce((sum, file) => sum + statSync(file).size, 0) / n
rmSync(dir, { recursive: true, force: true })
console.log(JSON.stringify({ windows, whole, bytes }))
