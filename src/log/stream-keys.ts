// Whose checkpoints count in a stream: given keys, or for each log the first that signs it; and those that they lead to.
import type { KeyChange } from './key-line.ts'
import { parseVkey, type Verifier } from './note.ts'

export class StreamKeys {
  private readonly trusted: Map<string, Verifier> | undefined
  private readonly byOrigin = new Map<string, Map<string, Verifier>>()
  private readonly signers = new Set<string>()

  constructor(private readonly given: readonly Verifier[] | undefined) {
    this.trusted = given === undefined ? undefined : new Map(given.map((key) => [key.vkey, key]))
  }

  /** Who may have signed for this log; `claimed` is the key that came with a checkpoint. */
  of(origin: string, claimed: string): readonly Verifier[] {
    if (this.trusted !== undefined) return [...this.trusted.values()]
    const known = this.byOrigin.get(origin)
    if (known !== undefined) return [...known.values()]
    try {
      const key = parseVkey(claimed)
      this.byOrigin.set(origin, new Map([[key.vkey, key]]))
      return [key]
    } catch {
      return []
    }
  }

  /** A key that a trusted one has signed. */
  trust(origin: string, key: Verifier): void {
    const known = this.trusted ?? this.byOrigin.get(origin)
    known?.set(key.vkey, key)
  }

  /** A change that is seen from outside, whoever signed: it counts if the key before does. */
  follow(origin: string, { from, to }: KeyChange): void {
    if ((this.trusted ?? this.byOrigin.get(origin))?.has(from.vkey)) this.trust(origin, to)
  }

  used({ vkey }: Verifier): void {
    this.signers.add(vkey)
  }

  /** Given keys that have signed nothing. */
  unused(): readonly Verifier[] {
    return (this.given ?? []).filter(({ vkey }) => !this.signers.has(vkey))
  }
}
