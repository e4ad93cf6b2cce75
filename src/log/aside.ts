// A log that its writer has set aside: why that was done, as the writer has left it, or as far as the log shows it.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCheckpoint } from './checkpoint.ts'
import { checkpointPath } from './checkpoint-file.ts'
import type { LogReport } from './log-report.ts'
import { textOfNote } from './note.ts'
import { instanceOf } from './pins.ts'
import { readRegular } from './regular-file.ts'
import { printable } from './summary.ts'

const reasonPath = (dir: string): string => join(dir, 'reason')

// What a writer leaves is a sentence: what is longer is none of its own.
const mostShown = 500
/** The name in a checkpoint that nobody may have signed is whatever somebody has put there. */
const mostOfName = 200

/** Leaves the reason for readers. It is signed in the `audit.recovered` of the log that begins; retention may delete that. */
export const leaveReason = (dir: string, reason: string, mode: number): Promise<void> =>
  writeFile(reasonPath(dir), `${reason}\n`, { mode })

/** Why the checkpoint of a log is not one of the writer whose origins begin with `prefix`; undefined if it is. */
export function foreignTo(prefix: string, note: Buffer): string | undefined {
  const origin = originOf(note)
  if (origin === undefined || origin.startsWith(prefix)) return undefined
  const [was, is] = [origin.split('/'), prefix.split('/')]
  const what = ['service', 'instance', 'log'].findIndex((_, i) => was[i] !== is[i])
  const kind = ['service', 'instance', 'log'][what]
  return `the checkpoint is of another ${kind}, ${was[what]}: it names ${origin}, and this is ${prefix.slice(0, -1)}`
}

function originOf(note: Buffer): string | undefined {
  const origin = parseCheckpoint(textOfNote(note.toString('utf8')) ?? '')?.origin
  return origin && printable(origin.slice(0, mostOfName))
}

/** What is to be said of a log in the folder `dir` that lies beside the logs of `writer`, `<service>/<instance>` if that is known. */
export async function asideFact(dir: string, writer: string | undefined, report: LogReport): Promise<string> {
  const why = (await reasonIn(dir)) ?? (await namesAnother(dir, writer)) ?? 'it has left no reason'
  const found =
    report.problemCount === 0 ? 'nothing in it is missing or altered' : `${report.problemCount} problems in it`
  return `set aside by its writer: ${why}; ${found}`
}

async function reasonIn(dir: string): Promise<string | undefined> {
  const text = await textOf(reasonPath(dir))
  return text === undefined || text.trim() === '' ? undefined : text.trim().slice(0, mostShown)
}

async function namesAnother(dir: string, writer: string | undefined): Promise<string | undefined> {
  const origin = originOf(Buffer.from((await textOf(checkpointPath(dir))) ?? ''))
  if (origin === undefined || writer === undefined || instanceOf(origin) === writer) return undefined
  return `its checkpoint names ${origin}, and the logs here are those of ${writer}`
}

/** What cannot be read is told with the log. */
const textOf = (path: string): Promise<string | undefined> =>
  readRegular(path).then(
    (bytes) => bytes.toString('utf8'),
    () => undefined,
  )
