// Lines that were taken and are in no batch yet: a bounded queue.

// What waits when the disk stalls: at most 64 MiB of text, about a second of the heaviest traffic that one process serves.
const maxLines = 100_000
const maxChars = 64 * 1_048_576

export class PendingLines {
  private lines: string[] = []
  /** Lines before it were taken. */
  private head = 0
  private size = 0

  get count(): number {
    return this.lines.length - this.head
  }

  /** Their length in UTF-16 units. */
  get chars(): number {
    return this.size
  }

  /** Returns false, and does not take the line, when too much waits. */
  push(line: string): boolean {
    if (this.count >= maxLines || this.size + line.length > maxChars) return false
    this.lines.push(line)
    this.size += line.length
    return true
  }

  /** The lines, as they will be written. */
  get all(): readonly string[] {
    return this.lines.slice(this.head)
  }

  /** Hands lines to `take`, which returns how many it took from the given index on; returns that as well. */
  drain(take: (lines: readonly string[], from: number) => number): number {
    const taken = take(this.lines, this.head)
    for (let i = this.head; i < this.head + taken; i++) this.size -= this.lines[i]!.length
    this.head += taken
    // Once half of the array is taken, so that each line is moved once at most.
    if (2 * this.head >= this.lines.length) {
      this.lines = this.lines.slice(this.head)
      this.head = 0
    }
    return taken
  }
}
