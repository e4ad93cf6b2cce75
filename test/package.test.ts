// Holds the package as users get it: what it exports, what it ships, and that its parts agree with each other.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { version } from '../src/version.ts'

const root = join(import.meta.dirname, '..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const manifest = JSON.parse(read('package.json')) as {
  version: string
  exports: Record<string, unknown>
  dependencies: Record<string, string>
}

const names: Readonly<Record<string, readonly string[]>> = {
  auditlb: [
    'BalancerError',
    'createAudit',
    'createBalancer',
    'eventSchema',
    'failures',
    'fileSink',
    'formats',
    'httpSink',
    'liftHold',
    'listHolds',
    'placeHold',
    'proveLine',
    'pruneLog',
    'queryLog',
    'replay',
    'seededRandom',
    'stdoutSink',
    'syslogSink',
    'toEcs',
    'toOcsf',
    'toOtel',
    'verifyLog',
    'verifyProof',
    'verifyStream',
    'version',
    'witnessSink',
  ],
  'auditlb/node': ['attach', 'createServer', 'nodeHandler'],
  'auditlb/express': ['expressBalancer'],
  'auditlb/fastify': ['fastifyBalancer'],
  'auditlb/witness': ['createServer', 'createWitness'],
}

describe('the exports', () => {
  const require = createRequire(join(root, 'package.json'))

  it.each(Object.keys(names))('of %s are the documented names, by import and by require', async (entry) => {
    const script = `import(${JSON.stringify(entry)}).then((all) => console.log(JSON.stringify(Object.keys(all))))`
    const imported = JSON.parse(
      execFileSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' }),
    ) as string[]
    expect(imported.filter((name) => name !== 'default' && name !== 'module.exports').sort()).toEqual(names[entry])
    expect(Object.keys(require(entry) as object).sort()).toEqual(names[entry])
  })

  it.each(['import', 'require'])('share what they have in common, by %s', (way) => {
    const script = `(async () => {
      const get = async (name) => (${way === 'require' ? 'require(name)' : 'import(name)'})
      const { BalancerError } = await get('auditlb')
      const [{ attach }, { expressBalancer }] = [await get('auditlb/node'), await get('auditlb/express')]
      for (const wrong of [() => attach({}, {}), () => expressBalancer({}, { none: 1 })])
        try { wrong() } catch (error) { console.log(error instanceof BalancerError) }
    })()`
    const said = execFileSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' })
    expect(said).toBe('true\ntrue\n')
  })

  it('have no other entries', () => {
    const entries = Object.keys(manifest.exports).filter((path) => path !== './package.json')
    expect(entries.map((path) => path.replace(/^\./, 'auditlb'))).toEqual([
      ...Object.keys(names),
      'auditlb/schema/*.json',
    ])
  })
})

describe('the versions', () => {
  it('of the manifest, the code and the newest heading of the changelog are the same', () => {
    const heading = /^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$/m.exec(read('CHANGELOG.md'))
    expect([version, heading?.[1]]).toEqual([manifest.version, manifest.version])
  })

  it('is what the command says', () => {
    const { stdout, status } = spawnSync(process.execPath, [join(root, 'dist', 'cli.js'), '--version'], {
      encoding: 'utf8',
    })
    expect([stdout.trim(), status]).toEqual([manifest.version, 0])
  })
})

describe('what is shipped', () => {
  it('is the build, the docs and the notices, and no source or test', () => {
    const [pack] = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }),
    ) as [{ files: { path: string }[] }]
    const paths = pack.files.map(({ path }) => path)
    expect(paths).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'CHANGELOG.md',
        'package.json',
        'dist/index.js',
        'dist/index.cjs',
        'dist/cli.js',
        'dist/schema/event.json',
      ]),
    )
    expect(
      paths.filter((path) => !/^(dist|docs)\/|^(LICENSE|README\.md|CHANGELOG\.md|package\.json)$/.test(path)),
    ).toEqual([])
  })

  it('names no registry in the lock files', () => {
    for (const lock of ['package-lock.json', 'bench/package-lock.json'])
      expect(read(lock)).not.toMatch(/"resolved"|registry\./)
  })

  it('depends on what the bundle imports, and on tslib, which the compiler takes its helpers from', () => {
    const imported = new Set<string>()
    for (const file of ['index', 'node', 'express', 'fastify', 'witness', 'cli']) {
      for (const [, name] of read(`dist/${file}.js`).matchAll(/^(?:import|export) .*from '([^.'][^']*)';?$/gm))
        imported.add(name!)
    }
    const builtIn = new Set(process.getBuiltinModule('module').builtinModules)
    const packages = [...imported].filter(
      (name) => !builtIn.has(name.replace(/^node:/, '')) && !name.startsWith('node:'),
    )
    expect([...new Set([...packages, 'tslib'])].sort()).toEqual(Object.keys(manifest.dependencies).sort())
  })
})
