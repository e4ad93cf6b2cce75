// Runs every snippet of the README as a user would: pasted into a file, with the built package installed beside it.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { queryLog } from '../src/log/query.ts'
import { verifyLog } from '../src/log/verify.ts'
import { freePort, type Script, startBackend, startScript } from './support/script.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const run = promisify(execFile)

/** The snippets of a language, each with the heading that it stands under. */
function snippets(language: string): { heading: string; code: string }[] {
  const found: { heading: string; code: string }[] = []
  let heading = ''
  for (const [, title, block, code] of readme.matchAll(/^## (.+)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title
    else if (block === language) found.push({ heading, code: code! })
  }
  return found
}
const commands = snippets('sh').flatMap(({ code }) => code.trim().split('\n'))
const snippet = (heading: string): string => snippets('js').find((one) => one.heading === heading)!.code

/** A folder in which the package is installed: express and fastify are found where the repository has them. */
function project(): string {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const dir = mkdtempSync(join(cache, 'readme-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  mkdirSync(join(dir, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(root, join(dir, 'node_modules', 'auditlb'), 'dir')
  symlinkSync(join(root, 'dist', 'cli.js'), join(dir, 'node_modules', '.bin', 'auditlb'))
  return dir
}

function paste(dir: string, code: string): Script {
  const path = join(dir, 'snippet.mjs')
  writeFileSync(path, code)
  return startScript(path, { cwd: dir })
}

/** Asks until somebody listens. */
async function ask(url: string, script: Script): Promise<Response> {
  let over = false
  void script.ended.then(() => {
    over = true
  })
  for (;;) {
    try {
      return await fetch(url, { headers: { connection: 'close' } })
    } catch (error) {
      if (over) throw new Error(`the snippet ended: ${(await script.ended).stderr}`, { cause: error })
    }
  }
}

interface Completed {
  readonly url: { readonly path: string; readonly original_path?: string }
  readonly http: { readonly response: { readonly status_code: number } }
  readonly lb: { readonly request_id: string; readonly decision: { readonly reason: string; readonly backend: string } }
}

/** The line of a request, once it is in the log, which may not even be open when the first request is served. */
async function lineOf(requestId: string, dir: string): Promise<Completed> {
  for (;;) {
    try {
      for await (const event of queryLog(dir, { requestId })) return event as unknown as Completed
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'log-invalid') throw error
    }
  }
}

describe('the first commands', () => {
  it('are the demo and the tests', () => {
    expect(commands.slice(0, 2)).toEqual(['npm install && npm run demo', 'npm install && npm test'])
  })

  it('are scripts of the package', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['demo', 'test']))
  })
})

describe('the snippets', () => {
  it('are all run here', () => {
    const headings = [
      'Node http',
      'Express',
      'Fastify',
      'Say how to balance',
      'Change it while it runs',
      'Verify and query',
    ]
    expect(snippets('js').map(({ heading }) => heading)).toEqual(headings)
  })

  it.each([
    ['Node http', '/orders/7', '/orders/7'],
    ['Express', '/api/orders/7', '/orders/7'],
    ['Fastify', '/api/orders/7', '/orders/7'],
  ])('for %s serves a request, and records it', async (heading, asked, forwarded) => {
    const dir = project()
    const [first, second, port] = [await startBackend('one'), await startBackend('two'), await freePort()]
    const code = snippet(heading)
      .replaceAll('3001', `${first}`)
      .replaceAll('3002', `${second}`)
      .replaceAll('8080', `${port}`)
    const script = paste(dir, code)
    const response = await ask(`http://127.0.0.1:${port}${asked}`, script)
    const answer = (await response.json()) as { backend: string; path: string }
    expect([response.status, answer.path]).toEqual([200, forwarded])
    const line = await lineOf(response.headers.get('x-request-id')!, join(dir, 'audit'))
    expect(line.url.original_path ?? line.url.path).toBe(asked)
    expect(line.http.response.status_code).toBe(200)
    expect(line.lb.decision.reason).toMatch(/-of-two$/)
    await script.stop()
    expect((await verifyLog(join(dir, 'audit'))).ok).toBe(true)
  })

  it('for balancing picks, and replays what it picked', async () => {
    const dir = project()
    const { code, stdout, stderr } = await paste(dir, snippet('Say how to balance')).ended
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^\S+ true$/m)
  })

  it('for changes, verification and queries do what they say', async () => {
    const dir = project()
    const { code, stderr } = await paste(dir, snippet('Change it while it runs')).ended
    expect([code, stderr]).toEqual([0, ''])
    const told = await paste(dir, snippet('Verify and query')).ended
    expect(told.stdout).toContain('the log holds')
    expect(told.stdout.match(/config\.changed/g)).toHaveLength(3)
  })

  it('for the command work as they are pasted', async () => {
    const dir = project()
    await paste(dir, snippet('Change it while it runs')).ended
    const pasted = commands.filter((command) => command.startsWith('npx auditlb '))
    expect(pasted.length).toBeGreaterThan(1)
    for (const command of pasted) {
      const { stdout } = await run('sh', ['-c', command], { cwd: dir })
      if (command.includes(' verify ')) expect(stdout).toContain('holds, self-consistent, not authenticated')
      if (command.includes('config.')) expect(stdout.match(/config\.changed/g)).toHaveLength(3)
    }
  })
})
