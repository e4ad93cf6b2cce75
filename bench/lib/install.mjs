// Installs what the benches compare with, once.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('..', import.meta.url))

export function installPeers() {
  if (existsSync(join(bench, 'node_modules'))) return
  console.error('installing the peers (npm ci in bench/)')
  const { status } = spawnSync('npm', ['ci', '--no-fund', '--no-audit'], { cwd: bench, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error('npm ci in bench/ failed')
}
