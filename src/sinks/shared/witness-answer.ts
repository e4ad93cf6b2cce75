// The answers of a witness, and what they ask for.
import { Refusal } from './refusal.ts'

export interface Answer {
  readonly status: number
  readonly text: string
  readonly retryAfterMs: number
}

/** When a history that the witness refuses is shown again: somebody has to look at it first. */
export const alarmedMs = 60_000

/** What the witness asks for by its answer. */
export function refusalOf({ status, text, retryAfterMs: pause }: Answer): Refusal {
  const said = membersOf(text)
  const message = `the witness answered ${status}: ${typeof said.message === 'string' ? said.message : text.slice(0, 200)}`
  const size = Number.isSafeInteger(said.size) ? (said.size as number) : undefined
  if (status === 409 && said.error === 'gap' && size !== undefined) return new Refusal(message, { resumeAt: size })
  // A newer one will come: this one was seen, and noted.
  if (status === 409 && said.error === 'older') return new Refusal(message, { permanent: true })
  if (status === 409 && said.error === 'rewritten') return new Refusal(message, { retryAfterMs: alarmedMs })
  if (status === 422 && Array.isArray(said.rejected))
    return new Refusal(message, { rejected: said.rejected as number[] })
  if (status === 422 || status === 413) return new Refusal(message, { permanent: true })
  return new Refusal(message, pause > 0 ? { retryAfterMs: pause } : {})
}

function membersOf(text: string): { readonly [name: string]: unknown } {
  try {
    return Object(JSON.parse(text)) as { readonly [name: string]: unknown }
  } catch {
    return {}
  }
}
