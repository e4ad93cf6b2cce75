// Headers that a user gives for each post.
import type { HttpConfig } from './http-options.ts'
import { Refusal } from './refusal.ts'

/** In lower case, so that they replace ours. The words of a function that fails are not told on: they may hold a secret. */
export async function headersOf(given: HttpConfig['headers']): Promise<Record<string, string>> {
  let made: Readonly<Record<string, string>>
  try {
    made = typeof given === 'function' ? await given() : given
  } catch (error) {
    const { code, name } = Object(error) as { code?: unknown; name?: unknown }
    throw new Refusal(`the function for headers failed: ${String(code ?? name ?? 'it threw')}`)
  }
  return Object.fromEntries(Object.entries(made).map(([name, value]) => [name.toLowerCase(), value]))
}
