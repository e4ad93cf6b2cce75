// One subject in a process of its own: prints what an event costs it, as JSON.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requestOf } from './requests.mjs'
import { subjects } from './writers.mjs'

const [name, count] = JSON.parse(process.argv[2])
const warmUp = Math.min(count, 30_000)
/** As many requests as end in one turn of the event loop under load. */
const perTurn = 32

/** CPU time of the main thread alone, in ns (Linux, schedstat of proc(5)). */
const threadNs = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0])
const usage = () => {
  const { user, system } = process.cpuUsage()
  return { thread: threadNs() / 1000, process: user + system }
}

const dir = mkdtempSync(join(tmpdir(), 'auditlb-event-'))
const subject = await subjects[name](dir)
let n = 0

const emit = (events) =>
  new Promise((resolve) => {
    const last = n + events
    const turn = () => {
      for (let i = 0; i < perTurn && n < last; i++) subject.record(requestOf(n++))
      if (n < last) setImmediate(turn)
      else resolve()
    }
    turn()
  })

await emit(warmUp)
await subject.settle()
const before = usage()
await emit(count)
await subject.close()
const after = usage()
const written = subject.files().reduce((sum, file) => sum + statSync(file).size, 0) / n
const figures = {
  threadUs: (after.thread - before.thread) / count,
  processUs: (after.process - before.process) / count,
  bytes: written,
}
rmSync(dir, { recursive: true, force: true })
console.log(JSON.stringify(figures))
