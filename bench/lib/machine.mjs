// What this machine offers: commands on PATH, and how its cores are shared between the proxy and the load.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { UsageError } from './options.mjs'

function executable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export const onPath = (command) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && executable(join(folder, command)))

function allowedCores() {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

/** The last core is the proxy's alone; load generator and backends have the others. Undefined: no pinning. */
export function shareCores() {
  if (!existsSync('/proc/self/stat')) throw new UsageError('the figures are read from /proc: this needs Linux')
  const cores = allowedCores()
  if (cores.length < 2 || !onPath('taskset')) return { proxy: undefined, load: undefined }
  return { proxy: String(cores.at(-1)), load: cores.slice(0, -1).join(',') }
}
