// What verification is given is read strictly: a misspelt check, or one that is undefined, is never a check that passes.
import { expect, it } from 'vitest'
import { pruneLog } from '../../src/audit/prune.ts'
import { proveLine } from '../../src/log/prove.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { verifyProof } from '../../src/log/verify-proof.ts'
import { verifyStream } from '../../src/log/verify-stream.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'

async function written() {
  const folder = tempFolder()
  const log = await openLog({ dir: folder, instance: 'a' }, { clock: fakeClock() })
  log.write('traffic', 3)
  await log.close()
  const { origin } = log.opened.heads.traffic
  const proof = await proveLine(folder, origin, 1)
  const calls: Record<string, (options: object) => unknown> = {
    verifyLog: (options) => verifyLog(folder, options),
    verifyStream: (options) => verifyStream(['x\n'], options),
    verifyProof: (options) => verifyProof(proof, options),
    pruneLog: (options) => pruneLog(folder, options),
  }
  return { folder, origin, refusal: async (call: string, options: object) => refusalOf(() => calls[call]!(options)) }
}

const refusalOf = (call: () => unknown): Promise<unknown> =>
  (async () => call())().then(
    () => 'taken',
    (error: { code?: string; problems?: { path: string; message: string }[] }) => [
      error.code,
      ...(error.problems ?? []).map(({ path, message }) => `${path}: ${message}`),
    ],
  )

it.each([
  ['verifyLog', { rooster: '{}' }, 'rooster: unknown option; the nearest is "roster"'],
  ['verifyLog', { checkpoint: 'x' }, 'checkpoint: unknown option; the nearest is "checkpoints"'],
  ['verifyLog', { sink: 'x' }, 'sink: unknown option'],
  ['verifyStream', { vkeys: 'x' }, 'vkeys: unknown option; the nearest is "vkey"'],
  ['verifyProof', { vkeys: 'bogus' }, 'vkeys: unknown option; the nearest is "vkey"'],
  ['pruneLog', { reson: 'x' }, 'reson: unknown option; the nearest is "reason"'],
  ['pruneLog', { logger: {} }, 'logger: expected an object with functions `warn` and `error`'],
])('%s refuses %j', async (call, options, problem) => {
  const { refusal } = await written()
  expect(await refusal(call, options)).toEqual(['config-invalid', expect.stringContaining(problem)])
})

it.each([
  ['verifyLog', 'vkey', 'text'],
  ['verifyLog', 'roster', 'a roster, as text or as an object'],
  ['verifyLog', 'checkpoints', 'text'],
  ['verifyStream', 'vkey', 'text'],
  ['verifyStream', 'roster', 'a roster, as text or as an object'],
  ['verifyStream', 'checkpoints', 'text'],
  ['verifyProof', 'vkey', 'text'],
  ['verifyProof', 'line', 'text or bytes'],
])('%s refuses a %s that is undefined, for it would check less than was meant', async (call, option, expected) => {
  const { refusal } = await written()
  const undefinedFact = `${option}: expected ${expected}, got undefined: leave it out for no such check`
  expect(await refusal(call, { [option]: undefined })).toEqual(['config-invalid', undefinedFact])
  expect(await refusal(call, { [option]: 7 })).toEqual(['config-invalid', `${option}: expected ${expected}, got 7`])
})

it('an option that weakens nothing may be undefined', async () => {
  const { folder } = await written()
  expect(
    await pruneLog(folder, { by: undefined, reason: undefined, logger: undefined, clock: undefined }),
  ).toHaveLength(1)
  expect(await refusalOf(() => verifyStream(['x\n'], { sink: undefined } as object))).toEqual(['log-invalid'])
})

it('a roster may be the object that a witness returns', async () => {
  const { folder, origin } = await written()
  const root = Buffer.alloc(32).toString('base64')
  const seen = { origins: { [origin]: { size: 3, root, lines: 3, last_seen: '', state: 'alive' } } }
  const fact = expect.stringContaining('are not those that the roster has seen')
  for (const roster of [seen, JSON.stringify(seen)]) {
    const { ok, instances } = await verifyLog(folder, { roster })
    expect([ok, instances[0]!.logs[0]!.problems]).toEqual([false, [expect.objectContaining({ fact })]])
  }
  const loop: Record<string, object> = {}
  loop.self = loop
  for (const roster of [{ origins: [] as never }, Promise.resolve(seen) as never, { origins: loop }])
    expect(await refusalOf(() => verifyLog(folder, { roster }))).toEqual(['log-invalid'])
})
