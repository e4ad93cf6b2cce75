// Takes guards out of a copy of the sources, one at a time, and runs the tests that are to miss them.
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One guard: what of the sources it is, and the test that fails without it. */
export interface Guard {
  /** What it is good for. */
  readonly rule: string
  /** Where it is, below `src`. */
  readonly file: string
  /** What is taken out, which stands there once, and what stands there instead. */
  readonly cut: string
  readonly put: string
  /** The file of the test, below `test`, and a part of the test's full name. */
  readonly test: string
  readonly name: string
}

export interface Copy {
  /** Runs the test of a guard without the guard; resolves with how many tests ran, and how many of them failed. */
  runWithout(guard: Guard): Promise<{ ran: number; failed: number; output: string }>
  remove(): void
}

const root = join(import.meta.dirname, '..', '..')

/** A copy of what the tests need. */
export function copyOfSources(): Copy {
  const dir = mkdtempSync(join(tmpdir(), 'auditlb-guards-'))
  for (const name of ['src', 'test', 'docs', 'package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(root, name), join(dir, name), { recursive: true })
  for (const name of ['node_modules', 'dist']) symlinkSync(join(root, name), join(dir, name))
  return {
    async runWithout(guard) {
      const path = join(dir, 'src', guard.file)
      const whole = readFileSync(path, 'utf8')
      if (whole.split(guard.cut).length !== 2)
        throw new Error(`${guard.file} holds ${JSON.stringify(guard.cut)} ${whole.split(guard.cut).length - 1} times`)
      writeFileSync(
        path,
        whole.replace(guard.cut, () => guard.put),
      )
      try {
        return await vitest(dir, guard)
      } finally {
        writeFileSync(path, whole)
      }
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}

function vitest(dir: string, { test, name }: Guard): Promise<{ ran: number; failed: number; output: string }> {
  const pattern = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const args = ['run', `test/${test}`, '-t', pattern, '--reporter=json', '--testTimeout=8000']
  const child = spawn(join(root, 'node_modules', '.bin', 'vitest'), args, { cwd: dir })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk
  })
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      try {
        const report = JSON.parse(output.slice(output.indexOf('{"numTotal'))) as Record<string, number>
        const { numPassedTests = 0, numFailedTests = 0 } = report
        // What is thrown beside the tests counts too.
        resolve({
          ran: numPassedTests + numFailedTests,
          failed: code === 0 ? 0 : Math.max(1, numFailedTests),
          output: errors,
        })
      } catch (error) {
        reject(new Error(`${test}: ${output}${errors}`, { cause: error }))
      }
    })
  })
}
