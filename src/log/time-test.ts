// Whether a line can be of a time that is asked for, by its bytes: that spares parsing it.

const mark = Buffer.from('"time":"')
/** Of a time as our lines have it: 2026-01-31T12:00:00.000Z. In this form the order of bytes is that of time. */
const length = 24
const [dot, zulu, quote] = Buffer.from('.Z"') as unknown as readonly [number, number, number]
const [least, most] = [0, Date.UTC(9999, 11, 31, 23, 59, 59, 999)]

/** False only if each time in the line is before `since`, or `until` or later, both in ms since the epoch. */
export function timeTest(since: number, until: number): (line: Buffer) => boolean {
  const from = textOf(since)
  const to = textOf(until)
  const mayBe = (line: Buffer, at: number): boolean => {
    if (line[at + 19] !== dot || line[at + 23] !== zulu || line[at + length] !== quote) return true
    if (from !== undefined && line.compare(from, 0, length, at, at + length) < 0) return false
    return to === undefined || line.compare(to, 0, length, at, at + length) < 0
  }
  return (line) => {
    let at = line.indexOf(mark)
    if (at === -1) return true
    for (; at !== -1; at = line.indexOf(mark, at + mark.length)) if (mayBe(line, at + mark.length)) return true
    return false
  }
}

/** Undefined for what no such text can say. */
const textOf = (ms: number): Buffer | undefined =>
  ms >= least && ms <= most ? Buffer.from(new Date(ms).toISOString()) : undefined
