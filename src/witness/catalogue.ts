// What a witness holds, and where: the folder of each writer, and the logs in it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { checkpointPath } from '../log/checkpoint-file.ts'
import { fromHash } from '../log/merkle.ts'
import { orMissing } from '../log/segments.ts'
import { parseStatement, statementPath } from '../log/statement.ts'
import { type LogName, logNames } from '../sink.ts'
import { folderName, nameOf, type OriginParts, partsOf } from './origins.ts'

export type OriginState = 'open' | 'closed' | 'silent' | 'shrunk'

/** The logs of one writer that are signed by one key, or by keys that certify each other. */
export interface WriterFolder {
  readonly service: string
  readonly instance: string
  readonly generation: number
  readonly dir: string
  /** The newest verifier key of the writer; undefined until its first checkpoint. */
  vkey: string | undefined
  readonly logs: Map<LogName, Origin>
  /** An `audit.closed` that has come, and that no checkpoint covers yet: the log it is in, and how many lines one must cover. */
  closing: { readonly entry: Origin; readonly boot: string; readonly size: number } | undefined
  /** The boot whose `audit.closed` was cosigned. */
  closedBoot: string | undefined
}

/** What is known of one log. */
export interface Origin extends OriginParts {
  readonly origin: string
  folder: WriterFolder
  /** How many lines are accounted for, as far as is known without opening the log. */
  lines: number
  /** Bytes of its lines. */
  bytes: number
  /** The last cosigned checkpoint. */
  size: number
  /** In base64. */
  root: string
  note: string
  state: OriginState
  /** What is wrong with it, where something is. */
  fault: string | undefined
  /** When something came last, in ms since the epoch. */
  lastSeen: number
  /** The key that signed the last checkpoint; undefined before the first. */
  vkey: string | undefined
}

export const logDir = ({ folder, log }: Origin): string => join(folder.dir, log)
/** Where the key is kept that signed the last checkpoint: that of the folder may be newer. */
export const keyPath = (entry: Origin): string => join(logDir(entry), 'signer')

export class Catalogue {
  readonly origins = new Map<string, Origin>()
  private readonly folders = new Map<string, WriterFolder[]>()

  constructor(private readonly dir: string) {}

  /** Finds what is there. What is no folder of a witness is passed over. */
  async load(): Promise<void> {
    for (const service of await names(this.dir)) {
      for (const instance of await names(join(this.dir, service))) await this.loadFolder(service, instance)
    }
  }

  /** The place of a new log: the first folder of its writer that has none of this name, or a new one. */
  add(origin: string, parts: OriginParts, now: number): Origin {
    const folder = this.foldersOf(parts).find(({ logs }) => !logs.has(parts.log)) ?? this.newFolder(parts)
    const entry: Origin = { ...blank, ...parts, origin, folder, lastSeen: now }
    folder.logs.set(parts.log, entry)
    this.origins.set(origin, entry)
    return entry
  }

  /** Forgets a log that could not be begun. */
  remove({ origin, folder, log }: Origin): void {
    this.origins.delete(origin)
    folder.logs.delete(log)
  }

  /** Where a log belongs that the first of these keys has signed; the others led to it. */
  folderFor({ folder, service, instance, log }: Origin, keys: readonly string[]): WriterFolder {
    const isOf = ({ vkey }: WriterFolder): boolean => vkey === undefined || keys.includes(vkey)
    if (isOf(folder)) return folder
    const fits = (one: WriterFolder): boolean => !one.logs.has(log) && isOf(one)
    const parts = { service, instance, log }
    return this.foldersOf(parts).find(fits) ?? this.newFolder(parts)
  }

  move(entry: Origin, to: WriterFolder): void {
    entry.folder.logs.delete(entry.log)
    entry.folder = to
    to.logs.set(entry.log, entry)
  }

  private foldersOf({ service, instance }: OriginParts): WriterFolder[] {
    // Where the file system takes two names for one, they share a list, and never a folder.
    const key = `${service}/${instance}`.toLowerCase()
    const known = this.folders.get(key) ?? []
    this.folders.set(key, known)
    return known.filter((one) => one.service === service && one.instance === instance)
  }

  private newFolder(parts: OriginParts, generation?: number): WriterFolder {
    const { service, instance } = parts
    this.foldersOf(parts)
    const all = this.folders.get(`${service}/${instance}`.toLowerCase())!
    const number = generation ?? 1 + Math.max(0, ...all.map((one) => one.generation))
    const dir = join(this.dir, folderName(service), folderName(instance, number))
    const folder = {
      service,
      instance,
      generation: number,
      dir,
      vkey: undefined,
      logs: new Map(),
      closing: undefined,
      closedBoot: undefined,
    }
    all.push(folder)
    return folder
  }

  private async loadFolder(serviceFolder: string, instanceFolder: string): Promise<void> {
    const dir = join(this.dir, serviceFolder, instanceFolder)
    const found: { readonly log: LogName; readonly origin: string; readonly parts: OriginParts }[] = []
    for (const log of logNames) {
      const origin = await originIn(join(dir, log))
      const parts = origin === undefined ? undefined : partsOf(origin)
      if (origin !== undefined && parts?.log === log) found.push({ log, origin, parts })
    }
    const first = found[0]
    if (first === undefined) return
    const folder = this.newFolder(first.parts, nameOf(instanceFolder).generation)
    folder.vkey = (await orMissing(readFile(join(dir, 'vkey'), 'utf8'), undefined))?.trim() || undefined
    for (const { log, origin, parts } of found) {
      const entry: Origin = { ...blank, ...parts, origin, folder }
      const note = await orMissing(readFile(checkpointPath(join(dir, log)), 'utf8'), '')
      const checkpoint = parseCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
      if (checkpoint !== undefined) {
        const root = fromHash(checkpoint.root).toString('base64')
        const vkey = (await orMissing(readFile(keyPath(entry), 'utf8'), undefined))?.trim() || undefined
        Object.assign(entry, { note, size: checkpoint.size, root, lines: checkpoint.size, vkey })
      }
      folder.logs.set(log, entry)
      this.origins.set(origin, entry)
    }
  }
}

const blank = {
  lines: 0,
  bytes: 0,
  size: 0,
  root: '',
  note: '',
  state: 'open',
  fault: undefined,
  lastSeen: 0,
  vkey: undefined,
} as const

const names = async (dir: string): Promise<string[]> => {
  const entries = await readdir(dir, { withFileTypes: true })
  return entries
    .filter((one) => one.isDirectory())
    .map(({ name }) => name)
    .sort()
}

async function originIn(dir: string): Promise<string | undefined> {
  const note = await orMissing(readFile(statementPath(dir), 'utf8'), undefined)
  return note === undefined ? undefined : parseStatement(note.slice(0, note.lastIndexOf('\n\n') + 1))?.origin
}
