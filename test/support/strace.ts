// What a process asked of the system, and in which order: reads what strace has written.
import { execFileSync } from 'node:child_process'

/** Where there is no strace a test of it is left out; where all must run it fails. */
export const noStrace = (() => {
  if (process.env.AUDITLB_INTEROP === 'required') return false
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' })
    return false
  } catch {
    return true
  }
})()

export interface Call {
  readonly name: string
  /** What its first argument is open on: a path, or a socket. */
  readonly file: string
  /** What it was to write. */
  readonly text: string
  /** When it began and when it came back, in the order of all calls. */
  readonly begun: number
  over: number
  result: number
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', v: '\v', f: '\f' }

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{1,3}|.)/g, (_, one: string) =>
    /^[0-7]/.test(one) ? String.fromCharCode(Number.parseInt(one, 8)) : (escapes[one] ?? one),
  )

/** The calls in the output of `strace -f -y -o`. */
export function callsOf(output: string): Call[] {
  const calls: Call[] = []
  const unfinished = new Map<string, Call>()
  for (const [at, line] of output.split('\n').entries()) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const result = Number(/ = (-?\d+)[^=]*$/.exec(rest)?.[1] ?? Number.NaN)
    if (rest.startsWith('<... ')) {
      Object.assign(unfinished.get(pid) ?? {}, { over: at, result })
      unfinished.delete(pid)
      continue
    }
    const [, name, file] = /^(\w+)\(\d+<([^>]*)>/.exec(rest) ?? []
    if (name === undefined) continue
    const text = [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => unescaped(part!)).join('')
    const call: Call = { name, file: file!, text, begun: at, over: at, result }
    if (rest.endsWith('<unfinished ...>')) {
      call.over = Infinity
      unfinished.set(pid, call)
    }
    calls.push(call)
  }
  return calls
}
