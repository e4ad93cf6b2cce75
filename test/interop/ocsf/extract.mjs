// Makes schema.json of a clone of github.com/ocsf/ocsf-schema: node test/interop/ocsf/extract.mjs CLONE COMMIT
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [clone, commit] = process.argv.slice(2)
const show = (path) => execFileSync('git', ['-C', clone, 'show', `${commit}:${path}`], { encoding: 'utf8' })
const read = (path) => JSON.parse(show(path))

// What the mapping uses. An attribute of another object is left out, and then not allowed.
const classes = {
  'events/base_event': 'base_event',
  'events/network/http_activity': 'http_activity',
  'events/network/network_activity': 'network_activity',
  'events/iam/entity_management': 'entity_management',
  'events/application/application_lifecycle': 'application_lifecycle',
  'events/system/event_log_activity': 'event_log_activity',
}
const profiles = ['host', 'load_balancer', 'security_control', 'trace']
const objects = [
  'actor',
  'application',
  'device',
  'endpoint_connection',
  'http_header',
  'http_request',
  'http_response',
  'load_balancer',
  'managed_entity',
  'metadata',
  'metric',
  'network_endpoint',
  'policy',
  'product',
  'tls',
  'trace',
  'url',
  'user',
]

const dictionary = read('dictionary.json')
const categories = read('categories.json').attributes
const parents = { network: 'events/network/network', iam: 'events/iam/iam', system: 'events/system/system' }
parents.application = 'events/application/application'
parents.base_event = 'events/base_event'

/** A class or an object with all that it extends. */
function whole(path, parentOf) {
  const own = read(`${path}.json`)
  const base =
    own.extends === undefined || own.extends === own.name ? undefined : whole(parentOf(own.extends), parentOf)
  const attributes = { ...base?.attributes }
  const add = (members, profile) => {
    for (const [name, member] of Object.entries(members)) {
      const enums = { ...attributes[name]?.enum, ...member.enum }
      attributes[name] = { ...attributes[name], ...member, ...(profile === undefined ? {} : { profile }) }
      if (Object.keys(enums).length > 0) attributes[name].enum = enums
      if (member.profile === null || profile === undefined) delete attributes[name].profile
    }
  }
  const { $include = [], ...rest } = own.attributes ?? {}
  for (const included of $include) {
    const profile = read(included)
    if (profiles.includes(profile.name)) add(profile.attributes, profile.name)
  }
  add(rest)
  return { ...base, ...own, category: own.category ?? base?.category, attributes }
}

function typed(name, attribute) {
  const known = dictionary.attributes[name] ?? {}
  const enums = { ...known.enum, ...attribute.enum }
  const schema = typeSchema(attribute.type ?? known.type)
  if (schema === undefined) return undefined
  if (Object.keys(enums).length > 0)
    schema.enum = Object.keys(enums).map((value) => (schema.type === 'integer' ? Number(value) : value))
  return (attribute.is_array ?? known.is_array) ? { type: 'array', items: schema } : schema
}

function typeSchema(type) {
  if (type === 'object') return { type: 'object' }
  if (dictionary.types.attributes[type] === undefined)
    return objects.includes(type) ? { $ref: `#/definitions/${type}` } : undefined
  if (type === 'json_t') return {}
  if (type === 'boolean_t') return { type: 'boolean' }
  if (type === 'float_t') return { type: 'number' }
  if (type === 'integer_t' || type === 'long_t') return { type: 'integer' }
  if (type === 'string_t') return { type: 'string' }
  const { type: base, regex, range, max_len } = dictionary.types.attributes[type]
  const schema = { type: base === 'string_t' ? 'string' : 'integer' }
  if (regex !== undefined) schema.pattern = regex
  if (range !== undefined) [schema.minimum, schema.maximum] = range
  if (max_len !== undefined) schema.maxLength = max_len
  return schema
}

function objectSchema({ attributes, constraints = {} }) {
  const properties = {}
  const required = []
  for (const [name, attribute] of Object.entries(attributes)) {
    const schema = typed(name, attribute)
    if (schema === undefined) continue
    properties[name] = schema
    if (attribute.requirement === 'required' && attribute.profile === undefined) required.push(name)
  }
  const one = (constraints.at_least_one ?? []).filter((name) => properties[name] !== undefined)
  return {
    type: 'object',
    properties,
    required: required.sort(),
    additionalProperties: false,
    ...(one.length === 0 ? {} : { anyOf: one.map((name) => ({ required: [name] })) }),
  }
}

function classSchema(path) {
  const found = whole(path, (name) => parents[name])
  const category = categories[found.category]?.uid ?? 0
  const uid = category * 1000 + (found.uid ?? 0)
  const schema = objectSchema(found)
  schema.title = found.caption
  schema.properties.class_uid = { const: uid }
  schema.properties.category_uid = { const: category }
  schema.properties.type_uid = { enum: schema.properties.activity_id.enum.map((activity) => uid * 100 + activity) }
  schema.properties.unmapped = { type: 'object' }
  // An attribute of a profile may be there only where the event says that it has that profile.
  schema.allOf = profiles.flatMap((profile) => {
    const names = Object.entries(found.attributes).flatMap(([name, one]) => (one.profile === profile ? [name] : []))
    if (names.length === 0) return []
    const says = {
      properties: { metadata: { properties: { profiles: { contains: { const: profile } } }, required: ['profiles'] } },
    }
    return [{ anyOf: [{ not: { anyOf: names.map((name) => ({ required: [name] })) } }, says] }]
  })
  return [uid, schema]
}

const schema = {
  $comment: `Derived from github.com/ocsf/ocsf-schema at ${commit}, version ${read('version.json').version}. Apache License 2.0, see LICENSE beside this file.`,
  classes: Object.fromEntries(Object.keys(classes).map(classSchema)),
  definitions: Object.fromEntries(
    objects.map((name) => [name, objectSchema(whole(`objects/${name}`, (parent) => `objects/${parent}`))]),
  ),
}
const here = import.meta.dirname
writeFileSync(join(here, 'schema.json'), `${JSON.stringify(schema, null, 1)}\n`)
writeFileSync(join(here, 'LICENSE'), show('LICENSE'))
