// Names that mean something in an audit folder: a writer of such a name would be taken for something else.
import { host } from '../runtime.ts'
import { logNames } from '../sink.ts'

const files = ['key', 'key.next', 'vkey', 'lock', 'reserve', 'retention.json', 'holds.json', 'cursors', 'dead', 'holds']
const reserved = new Set<string>([...logNames, ...files])
const aside = /^(traffic|security|control)\.aside-/

/** Whether it is that of a log that was set aside. */
export const isAsideName = (name: string): boolean => aside.test(name)

/** Whether a writer may not have it. In any case of its letters: some file systems take them for the same. */
export const isReservedName = (name: string): boolean =>
  reserved.has(name.toLowerCase()) || isAsideName(name.toLowerCase())

/** The host, as the name of a writer begins that was given none. */
export const hostPart = (): string => (isReservedName(`${host()}.`) ? `host-${host()}` : host())
