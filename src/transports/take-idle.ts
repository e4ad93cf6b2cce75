// Takes an idle connection into use in the next phase of the event loop. What nobody asked for must answer nobody.
import type { HttpLine } from './http-line.ts'
import type { InNextPhase } from './next-phase.ts'

/** `settle` hears then whether the connection is as good as new: still open, and nothing came on it in the same turn. */
export function takeIdle(line: HttpLine, inNextPhase: InNextPhase, settle: (isGood: boolean) => void): void {
  let isGood = true
  const spoil = (): void => {
    isGood = false
  }
  line.take({ onData: spoil, onOver: spoil, onDue: spoil })
  inNextPhase({ write: () => settle(isGood && line.isOpen) })
}
