// Whose checkpoints a witness takes: the key that a log came with first, or those that were configured.
import { parseVkey, type Verifier } from '../log/note.ts'
import { Refusal } from './answer.ts'
import { matches, type OriginParts } from './origins.ts'

export type VkeysByPattern = Readonly<Record<string, string | readonly string[]>>

/** Decides on the key that signs the first checkpoint of a log. */
export type Accept = (origin: string, vkey: string) => boolean | Promise<boolean>

export class KeyPolicy {
  private readonly pinned: readonly { readonly glob: string; readonly keys: readonly Verifier[] }[] | undefined

  constructor(
    origins: VkeysByPattern | undefined,
    private readonly accept: Accept | undefined,
  ) {
    this.pinned =
      origins === undefined
        ? undefined
        : Object.entries(origins).map(([glob, keys]) => ({ glob, keys: [keys].flat().map(parseVkey) }))
  }

  /** The keys that were configured for this writer; undefined where none are. Refuses a writer that is not listed where there is a list. */
  pinnedFor(parts: OriginParts): readonly Verifier[] | undefined {
    if (this.pinned === undefined) return undefined
    const found = this.pinned.filter(({ glob }) => matches(glob, parts))
    if (found.length > 0) return found.flatMap(({ keys }) => keys)
    if (this.accept !== undefined) return undefined
    throw new Refusal(404, 'origin-unknown', `no key is configured for ${parts.service}/${parts.instance}`)
  }

  /** Whether this key may be the first of a log. */
  async isWelcome(origin: string, parts: OriginParts, key: Verifier): Promise<boolean> {
    const pinned = this.pinnedFor(parts)
    if (pinned !== undefined) return pinned.some(({ vkey }) => vkey === key.vkey)
    return this.accept === undefined || (await this.accept(origin, key.vkey)) === true
  }
}

/** Reads the key that a sender names: it must be one of the writer whose log it is. */
export function claimedKey(text: string, { service, instance }: OriginParts): Verifier {
  let key: Verifier
  try {
    key = parseVkey(text)
  } catch (error) {
    throw new Refusal(400, 'malformed', error instanceof Error ? error.message : 'the verifier key is none')
  }
  if (key.name !== `${service}/${instance}`)
    throw new Refusal(403, 'key-refused', `the key of ${key.name} is not one of ${service}/${instance}`)
  return key
}
