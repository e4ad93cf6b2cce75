// Splits a stream of bytes into lines, in bounded memory.

/** A line that is longer comes as undefined: it can be none of ours. */
type StreamLine = Buffer | undefined

const lf = 0x0a

export interface LineBlock {
  readonly lines: readonly StreamLine[]
  /** Whether it is one line, the last one, that has no end. */
  readonly torn: boolean
}

/** The lines without their ends, in blocks. */
export async function* splitLines(
  input: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  maxBytes: number,
): AsyncGenerator<LineBlock> {
  let parts: Buffer[] = []
  let bytes = 0
  const add = (part: Buffer): void => {
    bytes += part.length
    // What is too long is only counted.
    if (bytes <= maxBytes) parts.push(part)
    else parts = []
  }
  const take = (): StreamLine => {
    const line = bytes > maxBytes ? undefined : Buffer.concat(parts)
    parts = []
    bytes = 0
    return line
  }
  for await (const piece of input) {
    // A copy: who reads a stream may get its buffer again.
    const chunk = Buffer.from(piece as Uint8Array)
    const lines: StreamLine[] = []
    let from = 0
    for (let at = chunk.indexOf(lf); at >= 0; at = chunk.indexOf(lf, from)) {
      add(chunk.subarray(from, at))
      lines.push(take())
      from = at + 1
    }
    add(chunk.subarray(from))
    if (lines.length > 0) yield { lines, torn: false }
  }
  if (bytes > 0) yield { lines: [take()], torn: true }
}
