// RFC 8785 (JCS) canonical JSON: the one form in which a value is written, hashed and proved.

/** What a line may hold. Numbers are integers of at most 2⁵³−1 by contract: ratios are permille, the rest is text. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined }

// Printable ASCII without the quote and the backslash needs no escaping; everything else goes through JSON.stringify,
// whose string form is the one that RFC 8785 section 3.2.2.2 prescribes.
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

const quote = (text: string): string => (plain.test(text) ? `"${text}"` : JSON.stringify(text))

/** The canonical form. Keys whose value is undefined are left out. Throws a TypeError for what JSON cannot hold. */
export function canonical(value: Json): string {
  switch (typeof value) {
    case 'string':
      return quote(value)
    case 'number':
      if (Number.isFinite(value)) return String(value === 0 ? 0 : value)
      break
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? list(value) : object(value as { readonly [key: string]: Json | undefined })
  }
  throw new TypeError(`a ${typeof value} has no canonical JSON form`)
}

function list(values: readonly Json[]): string {
  let out = '['
  for (let i = 0; i < values.length; i++) out += i === 0 ? canonical(values[i]!) : `,${canonical(values[i]!)}`
  return `${out}]`
}

function object(value: { readonly [key: string]: Json | undefined }): string {
  const keys = Object.keys(value)
  // Writers put keys in order where they can: the check is cheaper than the sort. Order is by UTF-16 code unit
  // (RFC 8785 section 3.2.3), which is what < and sort() compare.
  for (let i = 1; i < keys.length; i++) {
    if (keys[i]! < keys[i - 1]!) {
      keys.sort()
      break
    }
  }
  let out = ''
  for (const key of keys) {
    const member = value[key]
    if (member === undefined) continue
    out += `${out === '' ? '{' : ','}${quote(key)}:${canonical(member)}`
  }
  return out === '' ? '{}' : `${out}}`
}
