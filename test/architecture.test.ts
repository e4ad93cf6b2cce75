// Holds the layers, the seams between the parts, and the size of the files.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const src = join(import.meta.dirname, '..', 'src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .sort()

interface Source {
  readonly name: string
  readonly folder: string
  readonly text: string
  readonly lines: number
  /** Files of ours, type-only imports included. */
  readonly inner: readonly string[]
  /** Packages and modules of Node. */
  readonly outer: readonly string[]
}

const sources: Source[] = files.map((name) => {
  const text = readFileSync(join(src, name), 'utf8')
  const imported = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
  return {
    name,
    folder: dirname(name) === '.' ? '' : name.split('/')[0]!,
    text,
    lines: text.split('\n').length - 1,
    inner: imported.filter((path) => path.startsWith('.')).map((path) => relative(src, join(src, dirname(name), path))),
    outer: imported.filter((path) => !path.startsWith('.')),
  }
})

/** The layers, from the ground up: files of the root by name, folders by a slash. */
const layers: readonly (readonly string[])[] = [
  [
    'errors.ts',
    'clock.ts',
    'random.ts',
    'runtime.ts',
    'canonical.ts',
    'nearest.ts',
    'one-piece.ts',
    'parse.ts',
    'ranges.ts',
    'refused.ts',
    'secret.ts',
    'shown.ts',
    'step.ts',
    'version.ts',
  ],
  [
    'backend.ts',
    'discovery.ts',
    'request.ts',
    'request-key.ts',
    'outcome.ts',
    'decision.ts',
    'event-parts.ts',
    'traffic-events.ts',
    'witness-events.ts',
    'control-events.ts',
    'log-events.ts',
    'events.ts',
    'event-name.ts',
    'strategy.ts',
    'sink.ts',
    'sink-filter.ts',
    'tls.ts',
    'transport.ts',
  ],
  [
    'strategies/',
    'health/',
    'routing/',
    'discovery/',
    'access/',
    'proxy/',
    'transports/',
    'audit/',
    'log/',
    'sinks/',
    'control/',
    'witness/',
  ],
  ['config.ts', 'describe.ts'],
  ['face.ts', 'choice.ts', 'hop-parts.ts', 'replay.ts', 'balancer.ts'],
  ['adapters/', 'cli/', 'index.ts'],
]
const layerOf = (name: string): number =>
  layers.findIndex((members) =>
    members.some((member) => (member.endsWith('/') ? name.startsWith(member) : name === member)),
  )
const folderOf = (name: string): string => (name.includes('/') ? name.split('/')[0]! : '')

const pairs = sources.flatMap((source) => source.inner.map((target) => ({ from: source.name, to: target })))
const violations = (broken: (pair: { from: string; to: string }) => boolean): string[] =>
  pairs.filter(broken).map(({ from, to }) => `${from} imports ${to}`)

describe('the layers', () => {
  it('have a place for every file', () => {
    expect(sources.filter(({ name }) => layerOf(name) === -1).map(({ name }) => name)).toEqual([])
  })

  it('import from below, or within their own folder or layer of contracts', () => {
    const mayShareLayer = (from: string, to: string): boolean =>
      folderOf(from) === folderOf(to) ||
      (folderOf(to) === 'log' && ['sinks', 'audit', 'witness'].includes(folderOf(from)))
    const above = violations(({ from, to }) => layerOf(to) > layerOf(from))
    const beside = violations(
      ({ from, to }) => layerOf(to) === layerOf(from) && layerOf(from) === 2 && !mayShareLayer(from, to),
    )
    expect([...above, ...beside]).toEqual([])
  })

  it('have no cycles, type imports included', () => {
    const cycles: string[] = []
    const done = new Set<string>()
    const visit = (name: string, path: readonly string[]): void => {
      if (path.includes(name)) cycles.push([...path.slice(path.indexOf(name)), name].join(' -> '))
      if (done.has(name) || path.includes(name)) return
      for (const target of sources.find((source) => source.name === name)?.inner ?? []) visit(target, [...path, name])
      done.add(name)
    }
    for (const { name } of sources) visit(name, [])
    expect(cycles).toEqual([])
  })

  it('keep siblings apart where an index gathers them', () => {
    const families = ['strategies', 'sinks', 'adapters']
    // Files below a family's folder are what its members share: they know each other, but no member.
    const isSibling = ({ from, to }: { from: string; to: string }): boolean =>
      families.includes(dirname(to)) && folderOf(from) === folderOf(to) && !from.endsWith('/index.ts')
    expect(violations(isSibling)).toEqual([])
  })
})

describe('what has one home', () => {
  const users = (pattern: RegExp): string[] =>
    sources.filter(({ text }) => pattern.test(withoutComments(text))).map(({ name }) => name)

  it('is so for time', () => {
    expect(users(/\bDate\.now\b|\bperformance\.now\b|\bset(Timeout|Interval|Immediate)\(/)).toEqual(['clock.ts'])
  })

  it('is so for randomness', () => {
    expect(users(/\bMath\.random\b|\brandomUUID\b|\brandomBytes\b|\brandomInt\b/)).toEqual(['random.ts'])
  })

  it('is so for the process', () => {
    expect(users(/\bprocess\.\w|['"](node:)?(os|process)['"]/)).toEqual(['runtime.ts'])
  })

  it('is so for frameworks: only an adapter knows one', () => {
    const knowing = sources.filter(({ outer }) => outer.some((name) => name === 'express' || name === 'fastify'))
    expect(knowing.map(({ folder }) => folder).filter((folder) => folder !== 'adapters')).toEqual([])
  })
})

describe('the files', () => {
  it('are small', () => {
    const limit = ({ folder }: Source): number => (['strategies', 'sinks', 'adapters'].includes(folder) ? 150 : 250)
    expect(
      sources.filter((source) => source.lines > limit(source)).map(({ name, lines }) => `${name}: ${lines}`),
    ).toEqual([])
  })

  it('have a median under 100 lines', () => {
    const sizes = sources.map(({ lines }) => lines).sort((a, b) => a - b)
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThan(100)
  })

  it('say in their first line what they are', () => {
    const silent = sources.filter(({ text }) => !/^(#!.*\n)?\/\/ \S.{15,}/.test(text))
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  it('have no default export', () => {
    expect(sources.filter(({ text }) => /^export default/m.test(text)).map(({ name }) => name)).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}
