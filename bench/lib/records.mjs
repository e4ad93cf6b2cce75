// Counts the log records of requests below a folder: a proxy that loses some would look cheaper than it is.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PATH } from './target.mjs'

function occurrences(bytes, text) {
  let count = 0
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + text.length)) count++
  return count
}

export function countRecords(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const counts = files.map((entry) => occurrences(readFileSync(join(entry.parentPath, entry.name)), `"${PATH}"`))
  return counts.reduce((total, count) => total + count, 0)
}
