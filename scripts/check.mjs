// Everything that must hold before a change lands, one step after the other; stops at the first that does not.
import { spawnSync } from 'node:child_process'

const steps = [
  ['format and lint', 'npx biome check .'],
  ['types', 'npx tsc --noEmit'],
  ['build', 'npm run --silent build -- --silent'],
  ['package: publint', 'npx publint --strict'],
  ['package: types resolve', 'npx attw --pack . --profile node16 --quiet'],
  ['unused code and dependencies', 'npx knip'],
  ['tests with coverage', 'npx vitest run --coverage'],
]

for (const [name, command] of steps) {
  const start = performance.now()
  process.stdout.write(`\n--- ${name}: ${command}\n`)
  const { status } = spawnSync(command, { shell: true, stdio: 'inherit' })
  process.stdout.write(
    `--- ${name}: ${status === 0 ? 'holds' : 'does not hold'}, ${((performance.now() - start) / 1000).toFixed(1)} s\n`,
  )
  if (status !== 0) process.exit(1)
}
