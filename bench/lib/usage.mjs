// CPU time and peak memory of a process and its children, as the kernel counts them in /proc.
import { readdirSync, readFileSync } from 'node:fs'

// USER_HZ, the unit of utime and stime, is 100 on every Linux architecture that Node runs on.
const TICK_US = 10_000

/** The fields of /proc/<pid>/stat from the third on: the second, the name, may hold spaces. */
function stat(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function parentOf(pid) {
  try {
    return Number(stat(pid)[1])
  } catch {
    return undefined
  }
}

function family(root) {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const parents = new Map(processes.map((pid) => [Number(pid), parentOf(pid)]))
  const members = [root]
  for (const member of members) {
    for (const [pid, parent] of parents) if (parent === member) members.push(pid)
  }
  return members
}

function peakMemory(pid) {
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0)

/** utime and stime of stat cover all threads, those that ended too. */
export function usage(root) {
  const pids = family(root)
  return {
    cpuUs: sum(pids.map((pid) => stat(pid)).map((fields) => Number(fields[11]) + Number(fields[12]))) * TICK_US,
    peakBytes: sum(pids.map(peakMemory)),
  }
}
