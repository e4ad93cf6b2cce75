// Lets logs begin that were not known: so many in all, and so many of one sender in a time.
import type { Clock } from '../clock.ts'
import { Refusal } from './answer.ts'
import type { Catalogue, Origin } from './catalogue.ts'
import type { Cosigning } from './cosigning.ts'
import type { KeyPolicy } from './keys.ts'
import { partsOf } from './origins.ts'
import type { RosterKeeper } from './roster.ts'

const windowMs = 600_000

export interface NewcomersParts {
  readonly catalogue: Catalogue
  readonly roster: RosterKeeper
  readonly policy: KeyPolicy
  readonly cosigning: Cosigning
  readonly clock: Clock
  readonly limits: { readonly origins: number; readonly newOrigins: number }
}

export class Newcomers {
  private counts = new Map<string, number>()
  private window = 0
  /** Those whose folder is being made. */
  private readonly pending = new Map<string, Promise<Origin>>()

  constructor(private readonly parts: NewcomersParts) {}

  /** The place of a new log. Refuses one of a writer that is not listed, and one too many. */
  admit(origin: string, sender: string): Promise<Origin> {
    const pending = this.pending.get(origin) ?? this.begin(origin, sender).finally(() => this.pending.delete(origin))
    this.pending.set(origin, pending)
    return pending
  }

  private async begin(origin: string, sender: string): Promise<Origin> {
    const { catalogue, roster, policy, cosigning, clock } = this.parts
    const parts = partsOf(origin)!
    policy.pinnedFor(parts)
    this.count(sender)
    const entry = catalogue.add(origin, parts, clock.now())
    try {
      await cosigning.makeFolder(entry.folder)
    } catch (error) {
      catalogue.remove(entry)
      throw error
    }
    roster.begun(entry)
    return entry
  }

  private count(sender: string): void {
    const { catalogue, clock, limits } = this.parts
    const window = Math.floor(clock.monoUs() / 1000 / windowMs)
    if (window !== this.window) {
      this.window = window
      this.counts = new Map()
    }
    const count = (this.counts.get(sender) ?? 0) + 1
    if (count > limits.newOrigins || catalogue.origins.size >= limits.origins)
      throw new Refusal(429, 'too-many-origins', 'too many new logs', { headers: { 'retry-after': '60' } })
    this.counts.set(sender, count)
  }
}
