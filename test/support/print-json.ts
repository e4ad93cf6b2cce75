// JSON as the documentation prints it: on one line where that fits, or else a member on each.

export function printed(value: unknown, indent = '', before = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const members = Object.entries(value).map(([key, inner]) => [
    Array.isArray(value) ? '' : `${JSON.stringify(key)}: `,
    inner,
  ])
  if (members.length === 0) return `${open}${close}`
  const pad = Array.isArray(value) ? '' : ' '
  const flat = `${open}${pad}${members.map(([key, inner]) => `${key}${printed(inner, '', -1e6)}`).join(', ')}${pad}${close}`
  if (indent.length + before + flat.length <= 118) return flat
  const inner = `${indent}  `
  return `${open}\n${members.map(([key, one]) => `${inner}${key}${printed(one, inner, (key as string).length)}`).join(',\n')}\n${indent}${close}`
}
