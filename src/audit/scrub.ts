// The scrubber: what is taken out of every free text that is kept.
import { z } from 'zod'
import { withoutUserinfo } from '../secret.ts'
import { withoutCards } from './cards.ts'
import { showing } from './text.ts'

/** Returns the text without what may not be kept. */
export type ScrubFunction = (text: string) => string

export const scrubSchema = z.strictObject({
  /** Whether numbers of payment cards are replaced by `[card*1234]`, with their last four digits. Default true. */
  cards: z.boolean().default(true),
  /**
   * Functions of your own, each of which gets a text and returns what is kept of it. They run for each request, in turn and
   * after the cards, on at most 1,024 characters. Of a text on which one throws, or returns none, only the length is kept.
   * Default none.
   */
  custom: z
    .array(z.custom<ScrubFunction>((value) => typeof value === 'function', 'expected a function (text) => text'))
    .max(32)
    .default([]),
})

/** What a function of the user's may make of a text at most. */
const mostText = 2048

/** Never throws. `onFault` hears of what a function of the user's throws. */
export function createScrub(
  { cards, custom }: z.output<typeof scrubSchema>,
  onFault: (error: unknown) => void,
): ScrubFunction {
  const own = cards ? withoutCards : (text: string): string => text
  if (custom.length === 0) return own
  return (text) => {
    try {
      let kept: unknown = own(text)
      for (const scrub of custom) {
        kept = scrub(kept as string)
        if (typeof kept !== 'string') throw new Error('a scrubber returned no text')
      }
      return (kept as string).slice(0, mostText)
    } catch (error) {
      onFault(error)
      return `[${text.length}]`
    }
  }
}

const mostDepth = 12

/** The same for every text in a value, names of members and numbers as long as a card's included; and no password in a URL. */
export function scrubbed(value: unknown, scrub: ScrubFunction, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      return scrubbedText(value, scrub)
    case 'number': {
      if (value < 1e12) return value
      const text = String(value)
      const kept = scrub(text)
      return kept === text ? value : kept
    }
    case 'object':
      if (value === null || depth === mostDepth) return value
      if (Array.isArray(value)) return value.map((item) => scrubbed(item, scrub, depth + 1))
      return Object.fromEntries(
        Object.entries(value).map(([key, member]) => [scrubbedText(key, scrub), scrubbed(member, scrub, depth + 1)]),
      )
    default:
      return value
  }
}

/** A text that is escaped and bounded already. */
export function scrubbedText(text: string, scrub: ScrubFunction): string {
  const open = withoutUserinfo(text)
  const kept = scrub(open)
  return kept === open ? open : showing(kept)
}
