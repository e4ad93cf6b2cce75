// Holds the documentation against the code, in both directions.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { accessSchema } from '../src/access/addresses.ts'
import { trustSchema } from '../src/access/trust.ts'
import { auditSchema } from '../src/audit/options.ts'
import { policySchema } from '../src/audit/policy.ts'
import { backendSchema } from '../src/backend.ts'
import { canonical } from '../src/canonical.ts'
import { exclusionReasons, pickReasons, stickyVerdicts } from '../src/decision.ts'
import { discoverySchema } from '../src/discovery/options.ts'
import { discoveryCauses } from '../src/discovery.ts'
import { failures } from '../src/errors.ts'
import { decision, levels } from '../src/event-parts.ts'
import { appEvent, type BuiltInEventName, eventSchema, eventTable } from '../src/events.ts'
import { passiveSchema } from '../src/health/passive.ts'
import { activeSchema } from '../src/health/probe-options.ts'
import { causes } from '../src/health/transition.ts'
import { requestResults, retryDenials } from '../src/outcome.ts'
import { headersSchema } from '../src/proxy/header-rules.ts'
import { limitsSchema } from '../src/proxy/limits.ts'
import { mirrorSchema } from '../src/proxy/mirror.ts'
import { hostSchema } from '../src/proxy/outgoing-options.ts'
import { upgradesSchema } from '../src/proxy/upgrade.ts'
import { affinitySchema } from '../src/routing/affinity.ts'
import { hedgeSchema } from '../src/routing/hedge.ts'
import { localitySchema } from '../src/routing/plan.ts'
import { panicSchema } from '../src/routing/pool.ts'
import { slowStartSchema } from '../src/routing/ramp.ts'
import { retrySchema } from '../src/routing/retry.ts'
import { queueSchema } from '../src/routing/waiting.ts'
import { filterSchema } from '../src/sink-filter.ts'
import { fileSinkSchema } from '../src/sinks/file.ts'
import { type FormatName, formatNames, type MapOptions, named } from '../src/sinks/formats/index.ts'
import { mappings } from '../src/sinks/formats/mapping.ts'
import { httpSinkSchema } from '../src/sinks/shared/http-options.ts'
import { witnessSinkSchema } from '../src/sinks/shared/witness-options.ts'
import { stdoutSinkSchema } from '../src/sinks/stdout.ts'
import { syslogSinkSchema } from '../src/sinks/syslog/options.ts'
import { strategies } from '../src/strategies/index.ts'
import { tlsSchema } from '../src/tls.ts'
import { connectionsSchema } from '../src/transports/pool.ts'
import { timeoutsSchema } from '../src/transports/settings.ts'
import { version } from '../src/version.ts'
import { witnessSchema } from '../src/witness/options.ts'
import { printed } from './support/print-json.ts'

const root = join(import.meta.dirname, '..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const doc = (name: string): string => read(`docs/${name}.md`)

/** The part below a heading, up to the next one of the same level. */
function section(text: string, heading: string): string {
  const level = heading.slice(0, heading.indexOf(' ') + 1)
  const from = text.indexOf(`\n${heading}\n`)
  if (from === -1) throw new Error(`there is no heading ${heading}`)
  const rest = text.slice(from + heading.length + 2)
  const end = rest.indexOf(`\n${level}`)
  return end === -1 ? rest : rest.slice(0, end)
}

/** What stands in backticks at the beginning of each row. */
const rows = (text: string): string[] => [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!)
const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort()

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
}
const jsonSchema = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema

/** Every place in an object of this schema, in the form `a.b`; inner ones too. */
function places(schema: JsonSchema, prefix = ''): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, member]) => [
    `${prefix}${key}`,
    ...places(member, `${prefix}${key}.`),
  ])
  return [...own, ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((one) => places(one, prefix))]
}

/** The keys of an object literal that a variable of a source file holds, or hands to a function. */
function keysIn(file: string, variable: string): string[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true)
  let found: ts.ObjectLiteralExpression | undefined
  const visit = (node: ts.Node, inside: boolean): void => {
    if (found !== undefined) return
    const here = inside || (ts.isVariableDeclaration(node) && node.name.getText() === variable)
    if (here && ts.isObjectLiteralExpression(node)) found = node
    else ts.forEachChild(node, (child) => visit(child, here))
  }
  visit(source, false)
  return found!.properties.flatMap((property) => (property.name === undefined ? [] : [property.name.getText()]))
}

describe('docs/events.md', () => {
  const text = doc('events')
  const headings = [...text.matchAll(/^## `([^`]+)`$/gm)].map(([, name]) => name!)
  const names = Object.keys(eventTable) as BuiltInEventName[]
  const envelope = [
    'audit',
    'event_name',
    'schema_version',
    'time',
    'severity',
    'outcome',
    'service',
    'cloud',
    'trace_id',
    'span_id',
  ]
  const stamp = ['lb.pool', 'lb.config_revision', 'lb.config_hash']

  it('has a heading for every event, and no other', () => {
    expect(sorted(headings)).toEqual(sorted([...names, 'app.*']))
  })

  it.each([...names, 'app.*'] as const)('tells the log, the severity and the description of %s', (name) => {
    const { log, severity, about } = name === 'app.*' ? appEvent : eventTable[name]
    expect(section(text, `## \`${name}\``)).toContain(`Log: ${log}. Severity: ${severity}. ${about}`)
  })

  it.each(names)('tells every field of %s, and no other', (name) => {
    const all = places(jsonSchema(eventSchema(name))).filter((place) => !envelope.includes(place.split('.')[0]!))
    const told = rows(section(text, `## \`${name}\``))
    const covers = (row: string, place: string): boolean => place === row || place.startsWith(`${row}.`)
    const isInner = (place: string): boolean => all.some((other) => other.startsWith(`${place}.`))
    const untold = all.filter(
      (place) => !stamp.includes(place) && !isInner(place) && !told.some((row) => covers(row, place)),
    )
    expect([untold, told.filter((row) => !all.includes(row))]).toEqual([[], []])
  })

  it('tells every rule that refuses', () => {
    const code = ['adapters/shared/connections', 'proxy/sessions', 'access/addresses', 'control/revisions']
      .map((name) => read(`src/${name}.ts`))
      .join('')
    const rules = [...code.matchAll(/(?:refused|tell)\('([a-z0-9-]+)'|return '(access\.[a-z]+)'|rule: '([a-z.]+)'/g)]
    const told = section(text, '## Parts')
    expect(rules.length).toBeGreaterThan(6)
    expect(rules.map(([, a, b, c]) => a ?? b ?? c!).filter((rule) => !told.includes(`\`${rule}\``))).toEqual([])
  })

  it('tells every level and every member of a rule, and no other', () => {
    const { properties } = jsonSchema(policySchema)
    const all = places(properties!.rules!.items!)
    expect(sorted(rows(section(text, '## Levels')))).toEqual(sorted([...levels, ...all]))
  })

  it('tells the envelope', () => {
    for (const key of envelope) expect(section(text, '## Envelope')).toMatch(new RegExp(`\`${key}[.\`]`))
  })

  const whole = JSON.parse(/```json\n([\s\S]*?)```/.exec(section(text, '## A whole line'))![1]!) as Record<
    string,
    unknown
  >

  it('shows a whole line that is one', () => {
    expect(eventSchema('request.completed').safeParse(whole).error).toBeUndefined()
  })

  it.each(names.filter((name) => name !== 'request.completed'))('shows an example of %s that is one', (name) => {
    const json = /```json\n([\s\S]*?)```/.exec(section(text, `## \`${name}\``))?.[1] ?? '{}'
    const { audit, service, time, outcome, severity } = whole
    const common = { audit, service, time, outcome, severity, schema_version: 1, event_name: name }
    expect(eventSchema(name).safeParse({ ...common, ...JSON.parse(json) }).error).toBeUndefined()
  })
})

describe('docs/errors.md', () => {
  it('has every code with its status, blame and meaning, and no other', () => {
    const told = [...section(doc('errors'), '## Codes').matchAll(/^\| `([^`]+)` *\| (\d+) *\| (\w+) *\| (.+?) *\|$/gm)]
    const expected = Object.entries(failures).map(([code, { status, blame, message }]) => [
      code,
      String(status),
      blame,
      message,
    ])
    expect(told.map(([, ...cells]) => cells)).toEqual(expected)
  })

  it('maps every result of a request, and no other', () => {
    expect(sorted(rows(section(doc('errors'), '## Results in the words of others')))).toEqual(sorted(requestResults))
  })
})

describe('docs/configuration.md', () => {
  const text = doc('configuration')
  const told = rows(text).sort()
  const parts: Readonly<Record<string, z.ZodType>> = {
    'backends[]': backendSchema,
    'health.active': activeSchema,
    'health.passive': passiveSchema,
    access: accessSchema,
    affinity: affinitySchema,
    locality: localitySchema,
    panic: panicSchema,
    slowStart: slowStartSchema,
    audit: auditSchema,
    connections: connectionsSchema,
    discovery: discoverySchema,
    headers: headersSchema,
    hedge: hedgeSchema,
    host: hostSchema,
    limits: limitsSchema,
    mirror: mirrorSchema,
    queue: queueSchema,
    retry: retrySchema,
    timeouts: timeoutsSchema,
    trustProxy: trustSchema,
    tls: tlsSchema,
    upgrades: upgradesSchema,
  }
  const top = [...keysIn('src/config.ts', 'poolShape'), ...keysIn('src/config.ts', 'balancerSchema')]
  const inner = [
    ...Object.entries(parts).flatMap(([at, schema]) => places(jsonSchema(schema), `${at}.`)),
    ...strategies.flatMap(({ options }) => (options === undefined ? [] : places(jsonSchema(options), 'strategy.'))),
    // Those of `tls` are told once.
  ].filter((place) => !place.startsWith('backends[].tls.'))
  const leaves = [...top, ...inner].filter((place, _, all) => !all.some((other) => other.startsWith(`${place}.`)))

  it('has every option', () => {
    const groups = ['health', 'control']
    expect(leaves.filter((place) => !told.includes(place) && !groups.includes(place))).toEqual([])
  })

  it('has no option that there is not', () => {
    const known = [...top, ...inner, 'health.active', 'health.passive', 'health.record', 'mirror', 'control.authorize']
    expect(told.filter((place) => !known.includes(place))).toEqual([])
  })
})

describe('docs/routing.md', () => {
  const text = doc('routing')

  it('has every field of a decision, and no other', () => {
    const fields = places(jsonSchema(decision)).filter((place) => !place.includes('.') && place !== 'excluded_count')
    expect(sorted(rows(section(text, '## What a decision records')))).toEqual(sorted(fields))
  })

  it('has every verdict of an affinity, and no other', () => {
    expect(sorted(rows(section(text, '## Affinity')))).toEqual(sorted(stickyVerdicts))
  })
})

describe('docs/sinks.md', () => {
  const text = doc('sinks')

  it('has every option of the file sink, and no other', () => {
    const all = places(jsonSchema(fileSinkSchema))
    const leaves = all.filter((place) => !all.some((other) => other.startsWith(`${place}.`)))
    expect(sorted(rows(section(text, '## fileSink').split('### ')[0]!))).toEqual(sorted(leaves))
  })

  it.each([
    ['http', httpSinkSchema],
    ['syslog', syslogSinkSchema],
    ['stdout', stdoutSinkSchema],
  ])('has every option of the %s sink, and no other', (name, schema) => {
    // Members of `tls` and `filter` are told once, elsewhere.
    const names = places(jsonSchema(schema)).filter((place) => !place.includes('.'))
    expect(sorted(rows(section(text, `## ${name}Sink`)))).toEqual(sorted(names))
  })

  it('has every member of a filter, and no other', () => {
    expect(sorted(rows(section(text, '## Filters')))).toEqual(sorted(places(jsonSchema(filterSchema))))
  })

  it('has every format and every mapping, and no other', () => {
    const told = (heading: string): string[] => rows(section(text, heading).split('### ')[0]!)
    expect(sorted(told('## Formats'))).toEqual(sorted(formatNames))
    expect(sorted(told('## Mappings'))).toEqual(sorted(Object.keys(mappings)))
    const defaults = section(text, '## Formats').match(/^\| `[^`]+` +\| `[^`]+`/gm)!
    for (const row of defaults) {
      const [name, map] = [...row.matchAll(/`([^`]+)`/g)].map(([, word]) => word!) as [FormatName, string]
      expect(printedBodies(name, {})).toEqual(printedBodies(name, { map: map as 'line' }))
    }
  })

  const jsonIn = (heading: string): string => /```json\n([\s\S]*?)```/.exec(section(text, heading))![1]!
  const line = canonical(JSON.parse(jsonIn('## Formats')))
  const origin: string = JSON.parse(line).audit.origin
  const batch = { origin, first: 41, last: 41, lines: [line], bytes: line.length + 1 }
  function printedBodies(name: FormatName, options: MapOptions): string {
    const { body } = named[name].make(options)(batch)
    const shown = (key: string, value: unknown): unknown =>
      value === line ? '<the line>' : key === 'version' && value === version ? '<version>' : value
    return body
      .trimEnd()
      .split('\n')
      .map((one) => `${printed(JSON.parse(one, shown))}\n`)
      .join('')
  }

  it.each(['elasticsearch', 'loki', 'splunk-hec', 'datadog'] as const)('shows what %s makes of the line', (name) => {
    expect(jsonIn(`### ${name}`)).toBe(printedBodies(name, {}))
  })

  it.each(['ocsf', 'otel'] as const)('shows what the line is in the words of %s', (map) => {
    expect(jsonIn(`### ${map}`)).toBe(printedBodies('ndjson', { map }))
  })

  it('has every value of durability, and no other', () => {
    const { properties } = jsonSchema(fileSinkSchema) as { properties: { durability: { enum: string[] } } }
    expect(sorted(rows(section(text, '### Durability')))).toEqual(sorted(properties.durability.enum))
  })
})

describe('docs/witness.md', () => {
  const leavesOf = (schema: z.ZodType): string[] => {
    const all = places(jsonSchema(schema))
    return sorted(all.filter((place) => !all.some((other) => other.startsWith(`${place}.`))))
  }
  const told = (text: string): string[] =>
    sorted(
      [...text.matchAll(/^\| (`[^|]+`)/gm)].flatMap(([, names]) =>
        [...names!.matchAll(/`([^`]+)`/g)].map(([, one]) => one!),
      ),
    )

  it('has every option of a witness, and no other', () => {
    const items = { tokens: ['tokens', 'tokens.token', 'tokens.origins', 'tokens.send'] }
    const all = leavesOf(witnessSchema).filter((place) => !place.startsWith('tokens'))
    expect(told(section(doc('witness'), '## Options'))).toEqual(sorted([...all, ...items.tokens]))
  })

  it('has every option of the sink, and no other', () => {
    const all = leavesOf(witnessSinkSchema).map((place) => place.split('.')[0]!)
    expect(told(section(doc('sinks'), '## witnessSink'))).toEqual(sorted(all))
  })

  it('has every code of an answer, and no other', () => {
    const code = readdirSync(join(root, 'src/witness'))
      .map((name) => read(`src/witness/${name}`))
      .join('')
    const codes = [...code.matchAll(/new Refusal\(\s*(?:\d{3}|status),\s*'([a-z-]+)'/g)].map(([, one]) => one!)
    const rest = ['some-refused', 'lines-refused']
    const text = section(doc('witness'), '### Answers')
    const named = [...text.matchAll(/`([a-z]+(?:-[a-z]+)*)`/g)].map(([, one]) => one!)
    expect(codes.length).toBeGreaterThan(12)
    expect(sorted([...codes, ...rest]).filter((one) => one !== 'outdated' && !named.includes(one))).toEqual([])
  })
})

describe('docs/strategies.md', () => {
  const text = doc('strategies')

  it('has a heading for every strategy', () => {
    const others = [
      'Your own',
      'Weights',
      'Reasons',
      'Exclusion reasons',
      'What a pick costs',
      'In the words of others',
    ]
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, name]) => name!)
    expect(sorted(headings)).toEqual(sorted([...strategies.map(({ name }) => name), ...others]))
  })

  it('has every reason of a pick, and no other', () => {
    expect(sorted(rows(section(text, '## Reasons')))).toEqual(sorted(pickReasons))
  })

  it('has every reason of an exclusion, and no other', () => {
    expect(sorted(rows(section(text, '## Exclusion reasons')))).toEqual(sorted(exclusionReasons))
  })
})

describe('docs/health.md', () => {
  it('has every cause of a change, and no other', () => {
    expect(sorted(rows(section(doc('health'), '## In the log')))).toEqual(sorted(causes))
  })

  it('has no cause that the code does not give', () => {
    const code = readdirSync(join(root, 'src/health'))
      .filter((name) => name !== 'transition.ts')
      .map((name) => read(`src/health/${name}`))
      .join('\n')
    expect(causes.filter((cause) => !code.includes(`'${cause}'`))).toEqual([])
  })
})

describe('docs/discovery.md', () => {
  it('has every cause, and no other', () => {
    expect(sorted(rows(section(doc('discovery'), '## Causes')))).toEqual(sorted(discoveryCauses))
  })
})

describe('docs/retries.md', () => {
  it('has every reason for which a retry is denied, and no other', () => {
    expect(sorted(rows(section(doc('retries'), '## Why not')))).toEqual(sorted(retryDenials))
  })
})

describe('docs/verification.md', () => {
  it('has every filter of the query, and no other', () => {
    const told = [...section(doc('verification'), '## Query').matchAll(/`--([a-z-]+) [A-Z]`/g)].map(([, name]) => name!)
    const names = keysIn('src/log/filters.ts', 'logFilterSchema')
    expect(sorted(told)).toEqual(
      sorted(names.map((name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`))),
    )
  })
})

describe('the pages', () => {
  const inDocs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const pages = ['README.md', 'CHANGELOG.md', ...inDocs.map((name) => `docs/${name}`)]

  it('link to what exists', () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(([^)]+)\)/g)]
        .map(([, link]) => link!)
        .filter((link) => !/^https?:/.test(link) && !exists(page, link))
        .map((link) => `${page}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  it('show code that parses', () => {
    const faults = pages.flatMap((page) =>
      [...read(page).matchAll(/^```js\n([\s\S]*?)^```$/gm)].flatMap(([, code]) =>
        (
          ts.transpileModule(code!, { reportDiagnostics: true, compilerOptions: { target: ts.ScriptTarget.ESNext } })
            .diagnostics ?? []
        ).map(({ messageText }) => `${page}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
      ),
    )
    expect(faults).toEqual([])
  })

  it('are all reached from the README', () => {
    expect(pages.filter((page) => page !== 'README.md' && !read('README.md').includes(`(${page})`))).toEqual([])
  })

  it('name files of the repository that exist', () => {
    const table = section(doc('architecture'), '## Where is…?')
    const paths = [...table.matchAll(/`(src\/[^`]+)`/g)].map(([, path]) => path!)
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
    expect(paths.length).toBeGreaterThan(10)
  })

  it('name every file and folder of the sources in the table of layers', () => {
    const table = section(doc('architecture'), '## Layers')
      .match(/^\| \d .*$/gm)!
      .join('\n')
    const named = [...table.matchAll(/`([a-z-]+(?:\.ts|\/))`/g)].map(([, name]) => name!)
    const present = readdirSync(join(root, 'src'), { withFileTypes: true }).map((one) =>
      one.isDirectory() ? `${one.name}/` : one.name,
    )
    expect(sorted(named)).toEqual(sorted(present))
  })
})

function exists(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(root, target))) return false
  const anchors =
    anchor === undefined
      ? []
      : [...read(target).matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
          title!
            .toLowerCase()
            .replace(/[^a-z0-9 -]/g, '')
            .replaceAll(' ', '-'),
        )
  return anchor === undefined || anchors.includes(anchor)
}
