// What the bench of picks measures: parts that the package does not export.
export { backendSchema } from '../../src/backend.ts'
export { systemClock } from '../../src/clock.ts'
export { systemRandom } from '../../src/random.ts'
export { PickDraft } from '../../src/routing/draft.ts'
export { Router } from '../../src/routing/router.ts'
export { createStrategy, strategySchema } from '../../src/strategies/index.ts'
