// The next phase of the event loop: what has come in by then is known before anything is written.
import { afterTurn } from '../clock.ts'

export interface Writer {
  write(): void
}

/** Has it write in the next phase. */
export type InNextPhase = (one: Writer) => void

/** One wait serves all that begin in the same phase. */
export function nextPhase(): InNextPhase {
  let waiting: Writer[] = []
  const writeAll = (): void => {
    const all = waiting
    waiting = []
    for (const one of all) one.write()
  }
  return (one) => {
    if (waiting.push(one) === 1) afterTurn(writeAll)
  }
}
