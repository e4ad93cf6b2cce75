// What is to be told of the holds of a folder, after what was told before.
import type { StoreNotice } from '../sink.ts'
import type { Hold, Lifting } from './hold-file.ts'
import type { ToldHolds } from './kept-holds.ts'
import { printable } from './summary.ts'

/** A hold that a call has lifted, and the file that this has left. */
export interface LiftedHold {
  readonly file: string
  readonly hold: Hold
  readonly lifting: Lifting
}

export interface HoldChange {
  readonly facts: StoreNotice['facts']
  /** Called once its line is taken: writes to what was told before. */
  readonly told: () => void
}

/**
 * The changes in their order: first what calls have lifted, then what was placed, or put there, changed or removed by hand. `announced` are the
 * names of holds in force of which this process has told: the others are told once more. `lifts` are those that are not told yet, the oldest first.
 */
export function holdChanges(
  told: ToldHolds,
  announced: Set<string>,
  holds: readonly Hold[],
  lifts: readonly LiftedHold[],
): HoldChange[] {
  const isLifted = (hold: Hold): boolean => lifts.some((one) => isSame(one.hold, hold))
  // A lift that did not come to its end may have left a second file of a name.
  const inForce = [...new Map(holds.filter((hold) => !isLifted(hold)).map((hold) => [hold.name, hold])).values()]
  return [
    ...changesByCalls(told, lifts),
    ...ends(
      [...told.known.values()].filter((hold) => !isLifted(hold)),
      inForce,
      told,
    ),
    ...beginnings(inForce, told, announced),
  ]
}

function changesByCalls({ known, lifted }: ToldHolds, lifts: readonly LiftedHold[]): HoldChange[] {
  const standing = new Map(known)
  return lifts.flatMap(({ file, hold, lifting }) => {
    const before = standing.get(hold.name)
    const wasKnown = before !== undefined && isSame(before, hold)
    if (wasKnown) standing.delete(hold.name)
    const end = {
      facts: factsOf(hold, 'lifted', lifting),
      told() {
        lifted?.add(file)
        if (wasKnown) known.delete(hold.name)
      },
    }
    if (!wasKnown) return [{ facts: factsOf(hold, 'placed'), told: nothing }, end]
    if (isEqual(before, hold)) return [end]
    // Somebody has changed its file by hand before.
    return [
      { facts: factsOf(before, 'lifted'), told: nothing },
      { facts: factsOf(hold, 'placed'), told: () => void known.set(hold.name, hold) },
      end,
    ]
  })
}

/** Of files that are gone, or have become others. */
function ends(before: readonly Hold[], now: readonly Hold[], { known }: ToldHolds): HoldChange[] {
  return before
    .filter((hold) => !now.some((one) => isEqual(one, hold)))
    .map((hold) => ({ facts: factsOf(hold, 'lifted'), told: () => void known.delete(hold.name) }))
}

function beginnings(now: readonly Hold[], { known }: ToldHolds, announced: Set<string>): HoldChange[] {
  return now.flatMap((hold) => {
    const isKnown = isEqual(hold, known.get(hold.name))
    if (isKnown && announced.has(hold.name)) return []
    const told = (): void => {
      known.set(hold.name, hold)
      announced.add(hold.name)
    }
    return [{ facts: factsOf(hold, isKnown ? 'in-force' : 'placed'), told }]
  })
}

function factsOf({ name, logs, by, reason, placed }: Hold, change: string, lifting?: Lifting): StoreNotice['facts'] {
  const facts = { hold: name, change, logs, by: printable(by), reason: printable(reason), placed }
  if (lifting === undefined) return facts
  return {
    ...facts,
    lifted: lifting.at,
    ...(lifting.by === undefined ? {} : { lifted_by: printable(lifting.by) }),
    ...(lifting.reason === undefined ? {} : { lifted_reason: printable(lifting.reason) }),
  }
}

/** Whether both are the same act of placing. */
const isSame = (one: Hold, other: Hold): boolean => one.name === other.name && one.placed === other.placed

const isEqual = (one: Hold, other: Hold | undefined): boolean => JSON.stringify(one) === JSON.stringify(other)

const nothing = (): void => undefined
