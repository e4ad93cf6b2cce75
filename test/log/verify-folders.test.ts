// What lies beside and around the logs of a folder: none of it is passed over in silence.
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pruneLog } from '../../src/audit/prune.ts'
import { proveLine } from '../../src/log/prove.ts'
import { queryLog } from '../../src/log/query.ts'
import { type VerifyOptions, verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'

/** An instance of three logs of three lines each. */
async function instance(dir: string, signer = newSigner('shop/a')) {
  const roster: Record<string, object> = {}
  const logs: HandLog[] = []
  for (const name of ['traffic', 'security', 'control']) {
    const log = await HandLog.begin(dir, name, signer)
    log.write(3)
    const [, size, root] = (await log.sign()).split('\n')
    roster[log.origin] = { size: Number(size), root }
    logs.push(log)
  }
  return { signer, roster, logs }
}

async function judged(dir: string, options: VerifyOptions = {}) {
  const report = await verifyLog(dir, options)
  const { ok, instances, problems } = report
  const all = [
    ...instances.flatMap((one) => [...one.logs.flatMap((log) => log.problems), ...one.problems]),
    ...problems,
  ]
  return { ok, report, all: all.map(({ file, fact }) => ({ file, fact })) }
}

describe('an instance that cannot be read', () => {
  async function hidden() {
    const dir = tempFolder()
    const made = await instance(join(dir, 'a'))
    // Whoever runs as root may read any folder, but not a link that leads to itself.
    symlinkSync('b', join(dir, 'b'))
    return { dir, file: join(dir, 'b'), ...made }
  }
  const fact = 'it cannot be read: ELOOP'

  it('is a problem of the folder, and the others are verified', async () => {
    const { dir, file, signer } = await hidden()
    for (const options of [{}, { vkey: signer.vkey }]) {
      const { ok, report, all } = await judged(dir, options)
      expect({ ok, all }).toEqual({ ok: false, all: [{ file, fact }] })
      expect(report.instances[0]!.logs.map(({ signed }) => signed)).toEqual([3, 3, 3])
    }
  })

  it('is one where it is the only one, and where it would lie in the folder of a service', async () => {
    const dir = tempFolder()
    mkdirSync(join(dir, 'shop'))
    const files = [join(dir, 'shop/x'), join(dir, 'x')]
    for (const file of files) symlinkSync('x', file)
    expect((await judged(dir)).all).toEqual(files.map((file) => ({ file, fact })))
  })

  it('is told by whoever queries, proves and prunes', async () => {
    const { dir, file, logs } = await hidden()
    const query = async (): Promise<void> => {
      for await (const _ of queryLog(dir)) throw new Error('it should not come to that')
    }
    await expect(query()).rejects.toMatchObject({ code: 'log-invalid', message: expect.stringContaining(file) })
    const { origin } = logs[0]!
    expect(await proveLine(dir, origin, 1)).toContain(origin)
    await expect(proveLine(dir, 'shop/b/traffic/0', 1)).rejects.toThrow(`${file}: ${fact}`)
    expect(await pruneLog(dir)).toContainEqual({ instance: 'b', pruned: [], fault: fact })
  })

  it('is none if it is a file, a link to nowhere, or what a file system keeps for itself', async () => {
    const { dir, file } = await hidden()
    rmSync(file)
    symlinkSync('lost+found', join(dir, 'lost+found'))
    symlinkSync('nowhere', join(dir, 'link'))
    writeFileSync(join(dir, 'file'), '')
    chmodSync(join(dir, 'file'), 0)
    expect(await judged(dir)).toMatchObject({ ok: true, all: [] })
  })
})

it('a log of another service that has the same instance is elsewhere', async () => {
  const dir = tempFolder()
  const { roster } = await instance(join(dir, 'a'))
  const other = await instance(join(tempFolder(), 'a'), newSigner('blog/a'))
  const away = Object.keys(other.roster)
  const both = JSON.stringify({ origins: { ...roster, ...other.roster } })
  for (const place of [dir, join(dir, 'a')]) {
    expect((await judged(place, { roster: both })).report).toMatchObject({ ok: true, elsewhere: away })
  }
  // Where no log tells of which service it is, its instance must do.
  for (const log of ['traffic', 'security', 'control']) rmSync(join(dir, 'a', log), { recursive: true })
  expect((await judged(dir, { roster: both })).all.filter(({ fact }) => fact.startsWith('the roster'))).toHaveLength(6)
})
