// A key that was kept leads to those that replaced it, and to no other.
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signNote } from '../../src/log/note.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'
import { openLog } from '../support/log.ts'

/** A signed note without its signatures. */
const bodyOf = (note: string): string => note.slice(0, note.indexOf('\n\n') + 1)
const keys = ['first', 'second', 'third'].map(() => newSigner('shop/a'))
const vkeys = keys.map(({ vkey }) => vkey)
let template: string
let names: string[]

beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), 'auditlb-'))
  const logs: HandLog[] = []
  for (const name of ['traffic', 'security', 'control']) {
    const log = await HandLog.begin(join(template, 'a'), name, keys[0]!)
    log.write(300)
    logs.push(log)
  }
  for (const [at, key] of [keys[1]!, keys[2]!].entries()) {
    for (const log of logs) {
      log.write(50)
      await log.rotate(key)
      log.write(at === 0 ? 100 : 7)
      log.newSegment()
      log.write(20)
      await log.sign()
    }
  }
  names = readdirSync(join(template, 'a/traffic/keys')).sort()
})
afterAll(() => rmSync(template, { recursive: true }))

function copy(): { dir: string; kept: string[] } {
  const dir = tempFolder()
  cpSync(template, dir, { recursive: true })
  return { dir, kept: names.map((name) => join(dir, 'a/traffic/keys', name)) }
}

const factsIn = async (dir: string, vkey?: string) => {
  const { ok, authenticated, instances, problems } = await verifyLog(dir, vkey === undefined ? {} : { vkey })
  const all = [
    ...instances.flatMap((one) => [...one.logs.flatMap((log) => log.problems), ...one.problems]),
    ...problems,
  ]
  return { ok, authenticated, all, facts: all.map(({ fact }) => fact) }
}

describe('a log that has changed its key twice', () => {
  it('holds under its last key, and under any that was kept before', async () => {
    expect(await factsIn(template)).toMatchObject({ ok: true, authenticated: false, facts: [] })
    for (const vkey of [...vkeys, vkeys.join('\n')]) {
      expect(await factsIn(template, vkey)).toMatchObject({ ok: true, authenticated: true, facts: [] })
    }
  })

  it('tells each change that it has kept', () => {
    expect(names).toEqual(['0000000000000351', '0000000000000522'])
  })

  it('does not hold under a key that has never signed it', async () => {
    const { ok, facts } = await factsIn(template, newSigner('shop/a').vkey)
    expect(ok).toBe(false)
    expect(facts).toContain('the checkpoint is not valid: it is not signed by a known key; it names shop/a')
  })

  it('goes by what another log of the writer tells where retention has deleted the line', async () => {
    const { dir } = copy()
    rmSync(join(dir, 'a/traffic/segments/0000000000000000.jsonl'))
    rmSync(join(dir, 'a/traffic/segments/0000000000000451.jsonl'))
    const { authenticated, facts } = await factsIn(dir, vkeys[0])
    // No record of retention is there, for nobody has asked it to delete anything.
    expect(facts).toEqual(['lines 0 to 528 are missing without a record of retention'])
    expect(authenticated).toBe(false)
  })
})

describe('a kept checkpoint', () => {
  it('leads from the old key only if it is there', async () => {
    const { dir } = copy()
    for (const log of ['traffic', 'security', 'control']) rmSync(join(dir, 'a', log, 'keys', names[0]!))
    const missing = 'the line names a new key, and the checkpoint that the old one signed with it is missing'
    expect((await factsIn(dir, vkeys[0])).facts).toContain(
      'the checkpoint is not valid: it is not signed by a known key; it names shop/a',
    )
    // A later one covers the line as well, but the old key did not sign it.
    expect((await factsIn(dir, vkeys[2])).facts).toEqual([missing, missing, missing])
  })

  it.each([
    ['one that another key signed', 0, (note: string) => signNote(bodyOf(note), keys[1]!)],
    [
      'one of other lines',
      0,
      (note: string) => signNote(bodyOf(note).replace(/\n[^\n]{43}=\n/, `\n${'A'.repeat(43)}=\n`), keys[0]!),
    ],
    ['one whose signature is cut', 0, (note: string) => note.slice(0, -6)],
    ['one that is empty', 0, () => ''],
    ['one of another size', 1, (note: string) => signNote(bodyOf(note).replace('\n522\n', '\n521\n'), keys[1]!)],
    ['one of another log', 0, (note: string) => signNote(bodyOf(note).replace('/traffic/', '/control/'), keys[0]!)],
  ])('is no longer one when it is %s', async (_, which, forge) => {
    const { dir, kept } = copy()
    writeFileSync(kept[which]!, forge(readFileSync(kept[which]!, 'utf8')))
    const { ok, all } = await factsIn(dir, vkeys[2])
    expect(ok).toBe(false)
    expect(all[0]).toMatchObject({
      file: kept[which],
      fact: expect.stringContaining('the kept checkpoint does not fit'),
    })
  })

  it.each([
    ['of more lines than there are', '0000000000000600', 'its name says 600'],
    ['of a name that is no size', 'old', 'its name is no size of a log'],
  ])('%s does not fit', async (_, name, fact) => {
    const { dir, kept } = copy()
    renameSync(kept[1]!, join(dir, 'a/traffic/keys', name))
    const { ok, facts } = await factsIn(dir, vkeys[2])
    expect(ok).toBe(false)
    expect(facts.join('\n')).toContain(fact)
  })

  it('leads nowhere when its line was altered to name the key of somebody else', async () => {
    const { dir } = copy()
    const path = join(dir, 'a/traffic/segments/0000000000000000.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace(`"to":"${vkeys[1]}"`, `"to":"${newSigner('shop/a').vkey}"`))
    const { facts } = await factsIn(dir, vkeys[0])
    expect(facts).toEqual([
      'the kept checkpoint does not fit: line 350, which names the new key, is not among the lines that it covers',
      'the line is not the one that was signed',
    ])
  })
})

describe('a key that has handed over', () => {
  const idOf = (vkey: string): string => vkey.split('+').slice(0, 2).join('+')
  const resign = async (dir: string, key: number, cut: number) => {
    const path = join(dir, 'a/traffic')
    const lines = readdirSync(join(path, 'segments'))
      .sort()
      .flatMap((name) =>
        readFileSync(join(path, 'segments', name), 'utf8')
          .trimEnd()
          .split('\n'),
      )
    rmSync(join(path, 'segments'), { recursive: true })
    rmSync(join(path, 'tile'), { recursive: true })
    const kept = names.map((name) => [name, readFileSync(join(path, 'keys', name))] as const)
    const vkey = readFileSync(join(dir, 'a/vkey'))
    const log = await HandLog.begin(join(dir, 'a'), 'traffic', keys[key]!)
    log.writeRaw(...lines.map((line, i) => (i < cut ? line : line.replace('request.completed', 'request.forgotten'))))
    await log.sign()
    writeFileSync(join(dir, 'a/vkey'), vkey)
    for (const [name, text] of kept) writeFileSync(join(path, 'keys', name), text)
  }

  it('signs no more: lines behind that were rewritten and signed with it are told', async () => {
    for (const [key, at] of [
      [0, 351],
      [1, 522],
    ] as const) {
      const { dir } = copy()
      await resign(dir, key, 522)
      for (const vkey of [undefined, vkeys[0], vkeys.join('\n')]) {
        const { ok, authenticated, facts } = await factsIn(dir, vkey)
        const fact = `the checkpoint covers 549 lines and is signed by ${idOf(vkeys[key]!)}, which handed over at ${at}`
        expect({ ok, authenticated, facts }).toEqual({ ok: false, authenticated: false, facts: [fact] })
      }
    }
  })

  it('signs again once it was handed to', async () => {
    const instance = join(tempFolder(), 'a')
    for (const name of ['traffic', 'security', 'control']) {
      const log = await HandLog.begin(instance, name, keys[0]!)
      for (const key of [keys[1]!, keys[0]!, keys[1]!, keys[0]!]) {
        log.write(3)
        await log.rotate(key)
      }
      log.write(3)
      await log.sign()
    }
    const report = await verifyLog(instance, { vkey: vkeys[0]! })
    expect(report.instances[0]!.logs.flatMap(({ problems }) => problems)).toEqual([])
    expect(report).toMatchObject({ ok: true, authenticated: true })
  })
})

it('a hand-over that a crash has kept from being published is what the log has signed last', async () => {
  const instance = join(tempFolder(), 'a')
  const logs: HandLog[] = []
  for (const name of ['traffic', 'security', 'control']) {
    const log = await HandLog.begin(instance, name, keys[0]!)
    log.write(5)
    await log.sign()
    logs.push(log)
  }
  const path = join(instance, 'traffic/checkpoint')
  const before = readFileSync(path)
  await logs[0]!.rotate(keys[1]!)
  writeFileSync(path, before)
  const report = await verifyLog(instance, { vkey: vkeys[0]! })
  expect(report).toMatchObject({ ok: true, authenticated: true })
  expect(report.instances[0]!.logs[0]).toMatchObject({ signed: 6, unsigned: 0 })
})

it('what the writer itself has handed over is followed from the first key on', async () => {
  const dir = tempFolder()
  const file = join(tempFolder(), 'key.pem')
  const newKey = () =>
    writeFileSync(file, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  const vkeyOf = () => readFileSync(join(dir, 'a/vkey'), 'utf8')
  newKey()
  const log = await openLog({ dir, instance: 'a', key: { file }, segment: { maxBytes: 4_000 } })
  log.write('traffic', 100)
  await log.sink.durable('traffic', 99)
  const first = vkeyOf()
  for (let round = 0; round < 3; round++) {
    newKey()
    await log.sink.rotateKey!()
    log.write('traffic', 100)
    expect(await factsIn(dir, first)).toMatchObject({ ok: true, facts: [] })
  }
  await log.close()
  expect(vkeyOf()).not.toBe(first)
  for (const vkey of [undefined, first, vkeyOf()]) {
    expect(await factsIn(dir, vkey)).toMatchObject({ ok: true, authenticated: vkey !== undefined, facts: [] })
  }
})
