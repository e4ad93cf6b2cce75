// RFC 8785 (JCS) canonical JSON: the one form in which a value is written, hashed and proved.

/** What a line may hold. Numbers are integers of at most 2⁵³−1 by contract: ratios are permille, the rest is text. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined }

/** JSON that is in canonical form already, in the place of the value that it is: it is written as it stands. */
export class Written {
  readonly json: string

  constructor(json: string) {
    this.json = json
  }

  toJSON(): unknown {
    return JSON.parse(this.json)
  }
}

type Members = { readonly [key: string]: Json | undefined }

/**
 * The canonical form. Keys whose value is undefined are left out. Throws a TypeError for what JSON cannot hold. Text must be
 * well-formed Unicode: RFC 8785 has no form for a lone surrogate.
 */
export function canonical(value: Json): string {
  // Strings and numbers have in JSON.stringify the form that RFC 8785 section 3.2.2 prescribes: only the order of keys can
  // differ. Writers put keys in order where it counts, and looking is cheaper than writing by hand.
  return isOrdered(value) ? JSON.stringify(value) : write(value)
}

/** Whether every object has its keys in the order of UTF-16 code units (RFC 8785 section 3.2.3), which < compares. */
function isOrdered(value: Json | undefined): boolean {
  if (typeof value !== 'object' || value === null) {
    return (
      typeof value === 'string' ||
      (typeof value === 'number' ? Number.isFinite(value) : value === null || value === true || value === false)
    )
  }
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) if (!isOrdered(item)) return false
    return true
  }
  if (value instanceof Written) return false
  let previous = ''
  for (const key in value) {
    if (key < previous) return false
    previous = key
    const member = (value as Members)[key]
    if (member !== undefined && !isOrdered(member)) return false
  }
  return true
}

function write(value: Json): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      if (Number.isFinite(value)) return JSON.stringify(value)
      break
    case 'object':
      if (value === null) return 'null'
      if (value instanceof Written) return value.json
      return Array.isArray(value) ? list(value as readonly Json[]) : object(value as Members)
  }
  throw new TypeError(`a ${typeof value} has no canonical JSON form`)
}

// `map` would pass over a hole, and what is joined then is no JSON.
const list = (value: readonly Json[]): string => `[${Array.from(value, write).join(',')}]`

function object(value: Members): string {
  const parts: string[] = []
  for (const key of Object.keys(value).sort()) {
    const member = value[key]
    if (member !== undefined) parts.push(`${JSON.stringify(key)}:${write(member)}`)
  }
  return `{${parts.join(',')}}`
}
