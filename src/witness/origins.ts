// Origins as a witness takes them, and the names that may be made of them: what a sender says becomes a path only here.
import { type LogName, logNames } from '../sink.ts'

export interface OriginParts {
  readonly service: string
  readonly instance: string
  readonly log: LogName
}

const pattern = /^([A-Za-z0-9._-]{1,64})\/([A-Za-z0-9._-]{1,128})\/(traffic|security|control)\/[A-Za-z0-9._-]{1,64}$/

// In an audit folder the second would be a log that was set aside.
const isNoName = (name: string): boolean => /^\.{1,2}$|^(traffic|security|control)\.aside-/i.test(name)

/** The parts of `<service>/<instance>/<log>/<id>`; undefined for any other text. */
export function partsOf(origin: string): OriginParts | undefined {
  const [, service, instance, log] = pattern.exec(origin) ?? []
  if (service === undefined || instance === undefined || isNoName(service) || isNoName(instance)) return undefined
  return { service, instance, log: log as LogName }
}

// Names that mean something else in an audit folder, and those of files of the witness.
const reserved = new Set<string>([...logNames, 'cursors', 'dead', 'holds', 'key', 'lock', 'roster.json', 'vkey'])
const isReserved = (name: string): boolean =>
  reserved.has(name.toLowerCase()) || /^(witness\.|lock\.)|\.tmp$/.test(name.toLowerCase())

/** The name of a folder for a service or an instance. No name of either has a tilde. */
export const folderName = (name: string, generation = 1): string =>
  generation > 1 ? `${name}~${generation}` : isReserved(name) ? `${name}~1` : name

/** The name that a folder was made for, and which of its folders it is. */
export function nameOf(folder: string): { readonly name: string; readonly generation: number } {
  const [, name = folder, generation = '1'] = /^(.+)~([1-9]\d{0,8})$/.exec(folder) ?? []
  return { name, generation: Number(generation) }
}

/** Whether a pattern, in which `*` stands for any characters, is that of `<service>/<instance>`. */
export function matches(glob: string, { service, instance }: OriginParts): boolean {
  const source = glob
    .split('*')
    .map((part) => part.replace(/[^A-Za-z0-9/_-]/g, '\\$&'))
    .join('.*')
  return new RegExp(`^${source}$`).test(`${service}/${instance}`)
}
