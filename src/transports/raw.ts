// Lists of names and values in turn, as contracts hand headers over.

/** The first value of a field, whose name is given in lower case. */
export function valueIn(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2)
    if (raw[i]!.length === name.length && raw[i]!.toLowerCase() === name) return raw[i + 1]
  return undefined
}

/** The members of a field that is a list, in lower case. */
export function tokensOf(raw: readonly string[], name: string): string[] {
  const tokens: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i]!.toLowerCase() === name) tokens.push(...membersOf(raw[i + 1]!))
  return tokens
}

export const membersOf = (value: string): string[] =>
  value
    .toLowerCase()
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

/** Whether a response tells of a body. After HEAD, whose response has none, one may come all the same, late. */
export const tellsOfBody = (headers: readonly string[]): boolean =>
  Number(valueIn(headers, 'content-length') ?? 0) > 0 || valueIn(headers, 'transfer-encoding') !== undefined
