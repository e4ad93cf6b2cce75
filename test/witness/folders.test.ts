// The folder of a witness, in which somebody has moved things about.
import { cpSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { SentLog, startWitness } from '../support/witness.ts'

async function held() {
  const { url, dir, vkey, close } = await startWitness({ dir: tempFolder() })
  const keys = [vkey]
  // A service of a name that a file of the witness has lies in a folder of another.
  for (const service of ['shop', 'blog', 'vkey']) {
    const log = new SentLog(url, 'traffic', `${service}/host.0`).make(5)
    expect((await log.send()).status).toBe(200)
    expect((await log.checkpoint()).status).toBe(200)
    keys.push(log.signer.vkey)
  }
  await close()
  return { dir, vkey: keys.join('\n') }
}

const factsIn = async (dir: string, vkey: string) => {
  const { instances, problems } = await verifyLog(dir, { vkey })
  return [...instances.flatMap((one) => one.logs.flatMap((log) => log.problems)), ...problems].map(({ fact }) => fact)
}

it('services that have changed places are told', async () => {
  const { dir, vkey } = await held()
  expect(await factsIn(dir, vkey)).toEqual([])
  for (const [from, to] of [
    ['shop', 'x'],
    ['blog', 'shop'],
    ['x', 'blog'],
  ] as const)
    renameSync(join(dir, from), join(dir, to))
  expect(await factsIn(dir, vkey)).toEqual([
    'the checkpoint is one of shop/host.0, in the folder of blog',
    'the checkpoint is one of blog/host.0, in the folder of shop',
  ])
})

it('a log that is there twice is told', async () => {
  const { dir, vkey } = await held()
  cpSync(join(dir, 'shop/host.0'), join(dir, 'shop/host.0~2'), { recursive: true })
  expect(await factsIn(dir, vkey)).toEqual([
    `it is the log shop/host.0/traffic/00aa, and so is ${join(dir, 'shop/host.0/traffic')}`,
  ])
})
