// For how long an idle connection may be used again, and what is learnt of a backend that closes it sooner.
import { describe, expect, it } from 'vitest'
import { idleMsOf, Patience } from '../../src/transports/idle.ts'

describe('the hint of a backend', () => {
  it.each([
    [undefined, 4000],
    ['max=100', 4000],
    ['timeout=5', 4000],
    ['timeout=5, max=100', 4000],
    ['max=100, Timeout = "3"', 2000],
    ['timeout=2', 1000],
    ['timeout=1', 500],
    ['timeout=0', 0],
    ['timeout=999999999', 4000],
    ['idletimeout=1', 4000],
    ['timeout=', 4000],
    ['timeout=-1', 4000],
    ['timeout=99999999999999999999', 4000],
  ])('%j makes it %d ms of at most 4,000', (hint, expected) => {
    expect(idleMsOf(hint, 4000)).toBe(expected)
  })

  it('shortens only', () => {
    expect(idleMsOf('timeout=60', 100)).toBe(100)
    expect(idleMsOf('timeout=60', 600_000)).toBe(59_000)
  })
})

describe('what is not sent twice goes out on a connection', () => {
  const second = 1_000_000

  it('that was used within a second, where nothing is known', () => {
    expect(new Patience().youngUs(5 * second)).toBe(second)
  })

  it('that was used within half of the shortest time after which this backend has closed one', () => {
    const patience = new Patience()
    patience.closed(500_000, 100 * second)
    patience.closed(900_000, 101 * second)
    expect(patience.youngUs(102 * second)).toBe(250_000)
    patience.closed(300_000, 103 * second)
    expect(patience.youngUs(104 * second)).toBe(150_000)
  })

  it('which is forgotten after a minute, or replaced by what is seen then', () => {
    const patience = new Patience()
    patience.closed(500_000, 100 * second)
    expect(patience.youngUs(160 * second)).toBe(second)
    patience.closed(800_000, 161 * second)
    expect(patience.youngUs(162 * second)).toBe(400_000)
  })

  it('and never less than within 10 ms, for a restart closes what was just used', () => {
    const patience = new Patience()
    patience.closed(3, 100 * second)
    expect(patience.youngUs(100 * second)).toBe(10_000)
    patience.closed(10 * second, 300 * second)
    expect(patience.youngUs(300 * second)).toBe(second)
  })
})
