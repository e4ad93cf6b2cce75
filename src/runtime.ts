// The process that hosts the library: the only place that touches `process` and `os`.
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** What a log file may be named after: everything else becomes a dash. */
export const safeName = (name: string): string => name.replace(/[^A-Za-z0-9._-]/g, '-')

export const host = (): string => safeName(hostname()) || 'host'
export const pid: number = process.pid
export const env = (name: string): string | undefined => process.env[name] || undefined
export const argv = (): readonly string[] => process.argv.slice(2)
/** A function: who only imports this file must not open it. */
export const stdin = (): typeof process.stdin => process.stdin
export const stdout = process.stdout
export const stderr = process.stderr

/** Ends the process with this code once its work is done; nothing is cut off. */
export function setExitCode(code: number): void {
  process.exitCode = code
}

/** Calls `fn` when the process ends by itself; it must not wait for anything. Returns a function that undoes it. */
export function onExit(fn: () => void): () => void {
  process.on('exit', fn)
  return () => void process.off('exit', fn)
}

/** Whether a process with this id runs. */
export function isRunning(id: number): boolean {
  try {
    process.kill(id, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Tells two namespaces of process ids apart, such as those of two containers (Linux, namespaces(7)). */
export function pidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return undefined
  }
}

/** Tells two boots of one machine apart, where the system says so (Linux). */
export function bootId(): string | undefined {
  return readFact('/proc/sys/kernel/random/boot_id')
}

/** Start time of a process in clock ticks since boot (Linux, proc(5) field 22): tells two processes with one id apart. */
export function processStart(id: number): string | undefined {
  const stat = readFact(`/proc/${id}/stat`)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

function readFact(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Where faults are told, once each. Any pino-like object fits. */
export interface Logger {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The default logger: one line of JSON to stderr for each call. */
export const stderrLogger: Logger = {
  warn: (fields, message) => say('warn', fields, message),
  error: (fields, message) => say('error', fields, message),
}

function say(level: string, fields: object, message: string): void {
  stderr.write(`${JSON.stringify({ level, name: 'auditlb', ...fields, message })}\n`)
}
