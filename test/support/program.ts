// Runs TypeScript sources in a process of their own.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'tsup'
import { onTestFinished } from 'vitest'

/** Bundles a source file and returns the path of what Node can run. Dependencies are found from where it lies. */
export async function bundle(entry: string): Promise<{ path: string; remove: () => void }> {
  const cache = join(process.cwd(), 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const outDir = mkdtempSync(join(cache, 'auditlb-'))
  await build({
    entry: { program: entry },
    config: false,
    format: 'esm',
    outDir,
    platform: 'node',
    target: 'node20',
    silent: true,
    outExtension: () => ({ js: '.mjs' }),
  })
  return { path: join(outDir, 'program.mjs'), remove: () => rmSync(outDir, { recursive: true, force: true }) }
}

export interface Program {
  readonly child: ChildProcess
  /** Resolves with what follows `word` on the first line of output that begins with it. */
  said(word: string): Promise<string>
  /** Everything that was written, and the exit code, once the process has ended. */
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** Starts a program, with flags for Node where a list of them comes first; it is killed when the test is over. */
export function start(path: string, ...given: readonly (string | readonly string[])[]): Program {
  const flags = given.filter((one) => typeof one !== 'string').flat()
  const args = given.filter((one) => typeof one === 'string')
  const child = spawn(process.execPath, [...flags, path, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  const lines: string[] = []
  let rest = ''
  const watchers = new Set<(lines: readonly string[]) => void>()
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
    for (const look of watchers) look(parts)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  return {
    child,
    ended,
    said: (word) =>
      new Promise((resolve, reject) => {
        const look = (among: readonly string[]) => {
          const line = among.find((one) => one.startsWith(word))
          if (line === undefined) return
          watchers.delete(look)
          resolve(line.slice(word.length).trim())
        }
        watchers.add(look)
        void ended.then(() => reject(new Error(`ended without saying ${word}: ${stderr}`)))
        look(lines)
      }),
  }
}
