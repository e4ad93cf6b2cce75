// Any value that a JSON Schema of ours allows.
import fc from 'fast-check'

interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: false | Schema
  readonly items?: Schema
  readonly minimum?: number
  readonly pattern?: string
}

interface Limits {
  /** Which texts there are. Default: any. */
  readonly texts?: readonly string[]
  /** The largest number. Default: the largest that a line may hold. */
  readonly most?: number
  /** How many items a list has, and a record members. Default: up to 3, and up to 4. */
  readonly items?: number
}

// Text that is no Unicode has no canonical form.
const anyText = fc
  .oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
  .map((text) => text.toWellFormed())

export function arbitraryOf(given: object, limits: Limits = {}): fc.Arbitrary<object> {
  const text = limits.texts === undefined ? anyText : fc.constantFrom(...limits.texts)
  const most = limits.most ?? Number.MAX_SAFE_INTEGER
  const member = fc.oneof(text, fc.integer({ min: 0, max: most }), fc.boolean(), fc.constant(null))
  const any = fc.oneof(member, fc.array(member, { maxLength: 3 }), fc.dictionary(text, member, { maxKeys: 3 }))
  const { items } = limits
  const recordOf = (value: fc.Arbitrary<unknown>) =>
    items === undefined
      ? fc.dictionary(text, value, { maxKeys: 4 })
      : fc
          .tuple(text, fc.array(value, { minLength: items, maxLength: items }))
          .map(([key, values]) => Object.fromEntries(values.map((one, i) => [`${i}${key}`, one])))
  const of = (schema: Schema): fc.Arbitrary<unknown> => {
    if ('const' in schema) return fc.constant(schema.const)
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
    if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(of))
    switch (schema.type) {
      case 'string':
        return text
      case 'boolean':
        return fc.boolean()
      case 'integer':
        return fc.integer({ min: Math.max(schema.minimum ?? 0, -most), max: most })
      case 'array':
        return fc.array(of(schema.items!), { minLength: items ?? 0, maxLength: items ?? 3 })
      case 'object': {
        if (typeof schema.additionalProperties === 'object') return recordOf(of(schema.additionalProperties))
        const members = Object.entries(schema.properties ?? {})
        return fc.record(Object.fromEntries(members.map(([name, one]) => [name, of(one)])), {
          requiredKeys: [...(schema.required ?? [])],
        })
      }
      default:
        return any
    }
  }
  return of(given as Schema) as fc.Arbitrary<object>
}
