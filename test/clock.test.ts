// Time that is longer than a timer of Node can be, and what the caller of a close says of it.
import { afterEach, expect, it, vi } from 'vitest'
import { deadlineOf, systemClock, within } from '../src/clock.ts'

afterEach(() => void vi.useRealTimers())

const day = 86_400_000

it.each([1, 2 ** 31 - 1, 2 ** 31, 40 * day, 100 * day])(
  'a timer of %i ms fires when it is due, and not before',
  (ms) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let fired = 0
    systemClock.after(ms, () => fired++)
    vi.advanceTimersByTime(ms - 1)
    expect(fired).toBe(0)
    vi.advanceTimersByTime(1)
    expect(fired).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  },
)

it('one that is cancelled does not fire, whichever of its turns it is in', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  let fired = 0
  const timer = systemClock.after(60 * day, () => fired++)
  vi.advanceTimersByTime(30 * day)
  timer.cancel()
  vi.advanceTimersByTime(60 * day)
  expect([fired, vi.getTimerCount()]).toEqual([0, 0])
})

it('a wait without a limit ends with what it waits for', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  let answer: (text: string) => void = () => undefined
  const waiting = within(systemClock, new Promise<string>((resolve) => (answer = resolve)), Infinity, 'too late')
  await vi.advanceTimersByTimeAsync(400 * day)
  answer('in time')
  expect(await waiting).toBe('in time')
  await vi.advanceTimersByTimeAsync(0)
  expect(vi.getTimerCount()).toBe(0)
})

it.each([
  [undefined, 10_000],
  [{}, 10_000],
  [{ deadlineMs: undefined }, 10_000],
  [{ deadlineMs: Number.NaN }, 10_000],
  [{ deadlineMs: '500' }, 10_000],
  [{ deadlineMs: 0 }, 0],
  [{ deadlineMs: -5 }, 0],
  [{ deadlineMs: 1e12 }, 1e12],
  [{ deadlineMs: Infinity }, Infinity],
])('%j gives a close %d ms', (options, ms) => {
  expect(deadlineOf(options as never)).toBe(ms)
})
