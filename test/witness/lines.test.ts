// Lines at a witness: each is taken once, in order, and what is on disk holds.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { queryLog } from '../../src/log/query.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { lineAt } from '../support/log.ts'
import { SentLog, startWitness } from '../support/witness.ts'

const segmentsOf = (dir: string): string[] => readdirSync(join(dir, 'shop', 'host.0', 'traffic', 'segments')).sort()
const textOf = (dir: string): string =>
  segmentsOf(dir)
    .map((name) => readFileSync(join(dir, 'shop', 'host.0', 'traffic', 'segments', name), 'utf8'))
    .join('')
const unsigned = "the writer's checkpoint is missing: nothing here is signed"

describe('lines', () => {
  it('are kept byte for byte, in the layout of an audit folder, and verify once they are signed', async () => {
    const { url, dir, vkey } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(300)
    expect(await log.send()).toMatchObject({ status: 200, json: { size: 300 } })
    expect(textOf(dir)).toBe(log.lines.map((line) => `${line}\n`).join(''))
    expect(await verifyLog(dir)).toMatchObject({
      ok: false,
      instances: [{ instance: 'shop/host.0', logs: [{ unsigned: 300, problems: [{ fact: unsigned }] }] }],
    })
    expect(await log.checkpoint()).toMatchObject({ status: 200 })
    const keys = `${log.signer.vkey}\n${vkey}`
    for (const place of [dir, join(dir, 'shop'), join(dir, 'shop', 'host.0')])
      expect(await verifyLog(place, { vkey: keys })).toMatchObject({
        ok: true,
        authenticated: true,
        instances: [{ logs: [{ signed: 300, unsigned: 0, origin: log.origin }] }],
      })
    let found = 0
    for await (const _ of queryLog(dir)) found++
    expect(found).toBe(300)
  })

  it('may come twice, overlapping and compressed: each is there once', async () => {
    const { url, dir } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(20)
    expect((await log.send(0, 10)).json).toEqual({ size: 10 })
    expect((await log.send(0, 10)).json).toEqual({ size: 10 })
    expect((await log.send(5, 15)).json).toEqual({ size: 15 })
    expect((await log.send(2, 4)).json).toEqual({ size: 15 })
    const body = gzipSync(
      log.lines
        .slice(12)
        .map((line) => `${line}\n`)
        .join(''),
    )
    expect((await log.sendBody(12, body, { 'content-encoding': 'gzip' })).json).toEqual({ size: 20 })
    expect(textOf(dir)).toBe(log.lines.map((line) => `${line}\n`).join(''))
  })

  it('that leave a gap are refused with the place to go on from', async () => {
    const { url, witness, refusals } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(20)
    expect(await log.send(5, 10)).toMatchObject({ status: 409, json: { error: 'gap', size: 0 } })
    expect(witness.roster().origins).toEqual({})
    await log.send(0, 5)
    expect(await log.send(7, 10)).toMatchObject({ status: 409, json: { error: 'gap', size: 5 } })
    expect(refusals).toEqual([])
  })

  it('that are others than before are refused, kept as evidence, and mark the log', async () => {
    const { url, dir, witness, changes, refusals, told } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(10)
    await log.send()
    const forged = lineAt(log.origin, 4, { forged: true })
    const answer = await log.sendBody(3, `${log.lines[3]}\n${forged}\n`)
    expect(answer).toMatchObject({ status: 409, json: { error: 'rewritten', index: 4, size: 10 } })
    expect(witness.roster().origins[log.origin]).toMatchObject({
      state: 'shrunk',
      lines: 10,
      fault: expect.stringContaining('line 4'),
    })
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      ['absent', 'open'],
      ['open', 'shrunk'],
    ])
    expect(refusals).toMatchObject([{ code: 'rewritten', origin: log.origin, address: '127.0.0.1' }])
    expect(told).toEqual(['a log shows other lines, or fewer, than before'])
    const [name] = readdirSync(join(dir, 'shop', 'host.0', 'traffic', 'evidence'))
    const evidence = JSON.parse(readFileSync(join(dir, 'shop', 'host.0', 'traffic', 'evidence', name!), 'utf8'))
    expect(evidence).toMatchObject({ origin: log.origin, index: 4, line: forged })
    expect(textOf(dir)).not.toContain('forged')
    // It stays so, whatever comes.
    log.make(1)
    expect((await log.send(10)).status).toBe(200)
    expect(witness.roster().origins[log.origin]!.state).toBe('shrunk')
  })

  it.each([
    ['no JSON', () => 'nonsense'],
    ['no object', () => '[1]'],
    ['not canonical', (origin: string) => `{"b":1,"a":2,"audit":{"index":3,"origin":"${origin}"}}`],
    ['of another place', (origin: string) => lineAt(origin, 4)],
    ['of another log', () => lineAt('shop/other.0/traffic/00aa', 3)],
    ['not UTF-8', () => Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['empty', () => ''],
    ['nested beyond measure', () => '['.repeat(60_000)],
  ])('that are %s are refused, keep their place by their hash, and hold up no other', async (_, make) => {
    const { url, dir } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(3)
    const bad = make(log.origin)
    const bytes = Buffer.from(bad)
    const body = Buffer.concat([Buffer.from(log.lines.map((line) => `${line}\n`).join('')), bytes, Buffer.from('\n')])
    const after = lineAt(log.origin, 4)
    const answer = await log.sendBody(0, Buffer.concat([body, Buffer.from(`${after}\n`)]))
    expect(answer).toMatchObject({ status: 422, json: { error: 'some-refused', rejected: [3], size: 5 } })
    expect(textOf(dir)).toBe([...log.lines, after].map((line) => `${line}\n`).join(''))
    expect(segmentsOf(dir)).toEqual(['0000000000000000.jsonl', '0000000000000004.jsonl'])
    expect(await verifyLog(dir)).toMatchObject({
      instances: [{ logs: [{ lines: 4, missing: 1, problems: [{ fact: unsigned }], problemCount: 1 }] }],
    })
  })

  it('may be given up by their sender: the hashes keep the tree whole, and verification says how many', async () => {
    const { url, dir, vkey } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(700)
    expect(await log.sendLeaves(0, 300)).toMatchObject({ status: 200, json: { size: 300 } })
    expect(await log.sendLeaves(0, 300)).toMatchObject({ status: 200, json: { size: 300 } })
    expect((await log.send(300, 400)).status).toBe(200)
    expect(await log.sendLeaves(350, 500)).toMatchObject({ status: 200, json: { size: 500 } })
    expect((await log.send(500)).status).toBe(200)
    expect((await log.checkpoint()).status).toBe(200)
    const report = await verifyLog(dir, { vkey: `${log.signer.vkey}\n${vkey}` })
    expect(report).toMatchObject({ ok: true, instances: [{ logs: [{ lines: 300, missing: 400, signed: 700 }] }] })
    // Without the key of the witness nobody says that they may be missing.
    expect((await verifyLog(dir, { vkey: log.signer.vkey })).ok).toBe(false)
  })

  it('of a folder that was cut behind the back of the witness do not verify', async () => {
    const { url, dir, close } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url).make(700)
    await log.sendLeaves(0, 300)
    await log.send(300)
    await log.checkpoint()
    await close()
    const path = join(dir, 'shop', 'host.0', 'traffic', 'statement')
    const { writeFileSync } = await import('node:fs')
    writeFileSync(path, readFileSync(path, 'utf8').replace('missing 0 299', 'missing 0 399'))
    expect((await verifyLog(dir)).ok).toBe(false)
  })

  it('go on after a restart, and after one that cut a line in two', async () => {
    const dir = tempFolder()
    const first = await startWitness({ dir })
    const log = new SentLog(first.url).make(600)
    await log.send(0, 400)
    await log.checkpoint(log.note(300))
    await first.close()
    const { appendFileSync } = await import('node:fs')
    appendFileSync(
      join(dir, 'shop', 'host.0', 'traffic', 'segments', '0000000000000000.jsonl'),
      log.lines[400]!.slice(0, 20),
    )
    const second = await startWitness({ dir })
    const again = Object.assign(new SentLog(second.url, 'traffic', 'shop/host.0', '00aa', log.signer), {
      lines: log.lines,
    })
    expect(second.witness.roster().origins[log.origin]).toMatchObject({ size: 300, lines: 400, state: 'open' })
    expect((await again.send(350)).json).toEqual({ size: 600 })
    expect((await again.checkpoint()).status).toBe(200)
    expect(await verifyLog(dir)).toMatchObject({ ok: true, instances: [{ logs: [{ lines: 600, signed: 600 }] }] })
  })

  it('are asked for again where the witness has lost some, and only the same history is cosigned', async () => {
    const dir = tempFolder()
    const first = await startWitness({ dir })
    const log = new SentLog(first.url).make(400)
    await log.send()
    await log.checkpoint()
    await first.close()
    const { truncateSync } = await import('node:fs')
    truncateSync(join(dir, 'shop', 'host.0', 'traffic', 'segments', '0000000000000000.jsonl'), 1000)
    const second = await startWitness({ dir })
    const same = Object.assign(new SentLog(second.url, 'traffic', 'shop/host.0', '00aa', log.signer), {
      lines: log.lines,
    })
    const gap = await same.send(400 - 1, 400)
    expect(gap).toMatchObject({ status: 409, json: { error: 'gap' } })
    const other = new SentLog(second.url, 'traffic', 'shop/host.0', '00aa', log.signer)
    for (let i = 0; i < 500; i++)
      other.lines.push(i < gap.json.size ? log.lines[i]! : lineAt(log.origin, i, { other: 1 }))
    const { size } = gap.json
    expect((await other.send(size)).status).toBe(200)
    expect(await other.checkpoint()).toMatchObject({ status: 409, json: { error: 'rewritten' } })
    expect(second.witness.roster().origins[log.origin]).toMatchObject({ state: 'shrunk', size: 400 })
  })

  it('and checkpoints are taken although no hash tile can be deleted, which is told once', async () => {
    const { url, dir, told } = await startWitness({ dir: tempFolder() })
    const log = new SentLog(url)
    const unlink = vi.spyOn(promises, 'unlink').mockRejectedValue(Object.assign(new Error('EIO'), { code: 'EIO' }))
    syncBuiltinESMExports()
    onTestFinished(() => {
      unlink.mockRestore()
      syncBuiltinESMExports()
    })
    for (const end of [10, 20, 30, 40]) {
      log.make(10)
      expect((await log.send(end - 10, end)).json).toEqual({ size: end })
      expect(await log.checkpoint()).toMatchObject({ status: 200 })
    }
    const partial = join(dir, 'shop', 'host.0', 'traffic', 'tile', '0', '000.p')
    expect(readdirSync(partial).sort()).toEqual(['10', '20', '30', '40'])
    expect(told).toEqual(['the witness failed'])
    unlink.mockRestore()
    syncBuiltinESMExports()
    log.make(10)
    await log.send(40, 50)
    await log.checkpoint()
    expect(readdirSync(partial)).toEqual(['50'])
  })

  it('of many logs need no more open files than allowed', async () => {
    const dir = tempFolder()
    const { url, witness } = await startWitness({ dir, limits: { openLogs: 2 } })
    const logs = Array.from({ length: 6 }, (_, i) => new SentLog(url, 'traffic', `shop/host.${i}`).make(40))
    for (let at = 0; at < 40; at += 10) for (const log of logs) expect((await log.send(at, at + 10)).status).toBe(200)
    for (const log of logs) expect((await log.checkpoint()).status).toBe(200)
    expect(Object.keys(witness.roster().origins)).toHaveLength(6)
    expect((await verifyLog(dir)).ok).toBe(true)
    expect(existsSync(join(dir, 'shop', 'host.5', 'traffic', 'tile', '0'))).toBe(true)
  })
})
