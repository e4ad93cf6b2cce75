// Builds what runs, without type declarations, if a source is newer than the last build: so that the demo and the tests
// always use the present code, and a second run does not wait.
import { spawnSync } from 'node:child_process'
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

function newest(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

function builtAt() {
  try {
    return Math.min(
      ...['index.js', 'index.cjs', 'node.js', 'express.js', 'fastify.js', 'cli.js', 'schema/index.json'].map(
        (name) => statSync(join(root, 'dist', name)).mtimeMs,
      ),
    )
  } catch {
    return 0
  }
}

if (
  Math.max(...['src', 'scripts/schemas.ts', 'tsup.config.ts', 'package.json'].map((path) => newest(join(root, path)))) >
  builtAt()
) {
  const { status, stdout, stderr } = spawnSync(
    'npx',
    ['--no-install', 'tsup', '--no-dts', '--silent', '--out-dir', 'dist-next'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  if (status !== 0) {
    process.stderr.write(`${stdout}${stderr}`)
    process.exit(status ?? 1)
  }
  // Built beside, so that whoever imports the package meanwhile finds the old build or the new one.
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  renameSync(join(root, 'dist-next'), join(root, 'dist'))
}
