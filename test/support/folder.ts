// Folders for tests that write real files.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A new empty folder that is deleted when the test is over. */
export function tempFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'auditlb-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
