// Headers that a user gives for each post.
import type { HttpConfig } from './http-options.ts'
import { Refusal } from './refusal.ts'

/** In lower case, so that they replace ours. The words of a function that fails are not told on: they may hold a secret. */
export async function headersOf(given: HttpConfig['headers']): Promise<Record<string, string>> {
  let made: unknown
  try {
    made = typeof given === 'function' ? await given() : given
  } catch (error) {
    throw new Refusal(`the function for headers failed: ${wordOf(error)}`)
  }
  if (typeof made !== 'object' || made === null)
    throw new Refusal(`the function for headers returned ${made === null ? 'null' : typeof made}, expected an object`)
  return Object.fromEntries(Object.entries(made).map(([name, value]) => [name.toLowerCase(), value]))
}

/** The code or the name of a fault, as far as it is a word such as systems and classes have. */
function wordOf(error: unknown): string {
  const { code, name } = Object(error) as { code?: unknown; name?: unknown }
  return [code, name].find((word): word is string => typeof word === 'string' && /^\w{1,64}$/.test(word)) ?? 'it threw'
}
