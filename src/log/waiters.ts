// Those who wait until a line is on disk.

interface Waiter {
  readonly index: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Waiters {
  private list: Waiter[] = []

  get any(): boolean {
    return this.list.length > 0
  }

  /** Resolves once `resolveBelow` was called with more than `index`. */
  add(index: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.list.push({ index, resolve, reject })
    })
  }

  resolveBelow(size: number): void {
    const waiting = this.list
    this.list = waiting.filter((one) => one.index >= size)
    for (const one of waiting) if (one.index < size) one.resolve()
  }

  /** Rejects those who wait for a line from `first` to `last`. */
  rejectBetween(first: number, last: number, error: Error): void {
    const waiting = this.list
    const gone = ({ index }: Waiter) => index >= first && index <= last
    this.list = waiting.filter((one) => !gone(one))
    for (const one of waiting) if (gone(one)) one.reject(error)
  }

  rejectAll(error: Error): void {
    const waiting = this.list
    this.list = []
    for (const one of waiting) one.reject(error)
  }
}
