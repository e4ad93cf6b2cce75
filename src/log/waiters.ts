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

  rejectAll(error: Error): void {
    const waiting = this.list
    this.list = []
    for (const one of waiting) one.reject(error)
  }
}
