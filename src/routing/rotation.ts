// Takes turns: for what needs no strategy, the backends that get copies.
import { type BackendState, hasRoom } from '../backend.ts'

/** A function that gives the members of a list that have room, one after the other. The list may be another at each call. */
export function rotation(list: () => readonly BackendState[]): () => BackendState | undefined {
  let next = 0
  return () => {
    const members = list()
    for (let i = 0; i < members.length; i++) {
      const at = (next + i) % members.length
      if (!hasRoom(members[at]!)) continue
      next = at + 1
      return members[at]
    }
    return undefined
  }
}
