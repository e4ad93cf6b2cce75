// The contract of a verb of the command.

/** `0`: it holds. `1`: it does not hold. `2`: unusable arguments or input. */
export type ExitCode = 0 | 1 | 2

/** Where a command reads, and where it writes. `out` and `err` resolve to false once nobody reads any more: then there is no point in going on. */
export interface Terminal {
  readonly in: AsyncIterable<Uint8Array>
  out(text: string): Promise<boolean>
  err(text: string): Promise<boolean>
}

export interface Verb {
  readonly name: string
  /** What it does, in one line. */
  readonly summary: string
  /** What `--help` prints. */
  readonly usage: string
  /** May throw a UsageError, and an InputError or a BalancerError for input that is not usable. */
  run(args: readonly string[], terminal: Terminal): Promise<ExitCode>
}

/** A call that is not one of the verb; the message names what is wrong, and the usage is printed with it. */
export class UsageError extends Error {}

/** A value or a file that cannot be used; the message names it. */
export class InputError extends Error {}
