// What a witness deletes: what is too old or too much, by whole segments, and in a way that verifies.
import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { verifyLog } from '../../src/log/verify.ts'
import type { LogName } from '../../src/sink.ts'
import { createWitness } from '../../src/witness/index.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'
import { SentLog, startWitness, token } from '../support/witness.ts'

const segmentsOf = (dir: string, log: LogName = 'traffic'): string[] =>
  readdirSync(join(dir, 'shop', 'host.0', log, 'segments')).sort()
const day = 86_400_000

describe('what is too old', () => {
  it('goes by whole segments, also the last of a writer that is gone, and the rest verifies', async () => {
    const clock = fakeClock()
    const { url, dir, vkey, witness } = await startWitness({ dir: tempFolder(), clock, segment: { maxBytes: 65_536 } })
    const [traffic, control] = [new SentLog(url).make(2000), new SentLog(url, 'control')]
    control.signer = traffic.signer
    control.make(10)
    for (let at = 0; at < 2000; at += 250) expect((await traffic.send(at, at + 250)).status).toBe(200)
    await control.send()
    for (const log of [traffic, control]) expect((await log.checkpoint()).status).toBe(200)
    const before = segmentsOf(dir)
    expect(before.length).toBeGreaterThan(3)
    const date = (name: string, ms: number) =>
      utimesSync(join(dir, 'shop', 'host.0', 'traffic', 'segments', name), ms / 1000, ms / 1000)
    for (const name of before) date(name, clock.now())
    date(before[0]!, clock.now() - 91 * day)
    date(before[1]!, clock.now() - 91 * day)
    clock.advance(3_600_000)
    await until(() => segmentsOf(dir).length === before.length - 2)
    expect(segmentsOf(dir)).toEqual(before.slice(2))
    const keys = `${traffic.signer.vkey}\n${vkey}`
    const first = Number(before[2]!.slice(0, 16))
    expect(await verifyLog(dir, { vkey: keys })).toMatchObject({
      ok: true,
      instances: [
        {
          logs: [
            { pruned: first, signed: 2000 },
            { signed: 10, pruned: 0 },
          ],
        },
      ],
    })
    // Months later.
    clock.advance(100 * day)
    for (const name of before.slice(2)) date(name, clock.now() - 95 * day)
    // It looks each hour.
    await until(() => {
      clock.advance(10_000)
      return segmentsOf(dir).join() === '0000000000002000.jsonl'
    })
    expect(await verifyLog(dir, { vkey: keys })).toMatchObject({
      ok: true,
      instances: [{ logs: [{ pruned: 2000, lines: 0 }, {}] }],
    })
    expect((await verifyLog(dir, { vkey: traffic.signer.vkey })).ok).toBe(false)
    // It goes on where it ended, and what was there is still compared.
    traffic.make(5)
    expect((await traffic.send(1990)).json).toEqual({ size: 2005 })
    expect((await traffic.checkpoint()).status).toBe(200)
    expect(witness.roster().origins[traffic.origin]).toMatchObject({ size: 2005 })
    expect(await verifyLog(dir, { vkey: keys })).toMatchObject({ ok: true })
  })
})

describe('what is too much', () => {
  it('goes from the oldest traffic on, whoever sent it, and never makes a sender fail', async () => {
    const { url, dir } = await startWitness({ dir: tempFolder(), maxBytes: 16 << 20, segment: { maxBytes: 1 << 20 } })
    const text = 'x'.repeat(6000)
    const control = new SentLog(url, 'control', 'shop/host.1').make(20)
    await control.send()
    await control.checkpoint()
    const logs = [0, 1].map((i) =>
      new SentLog(url, 'traffic', `shop/host.${i}`, '00aa', i === 1 ? control.signer : undefined).make(2000, { text }),
    )
    for (let at = 0; at < 2000; at += 100)
      for (const log of logs) while ((await log.send(at, at + 100)).status !== 200);
    for (const log of logs) expect((await log.checkpoint()).status).toBe(200)
    const report = await verifyLog(dir)
    expect(report.instances.flatMap(({ logs: all }) => all.flatMap(({ problems }) => problems))).toEqual([])
    const kept = report.instances.flatMap(({ logs: all }) => all)
    expect(kept.filter(({ log }) => log === 'traffic').every(({ pruned }) => pruned > 500)).toBe(true)
    expect(kept.find(({ log }) => log === 'control')).toMatchObject({ pruned: 0, lines: 20 })
  }, 60_000)
})

describe('a statement', () => {
  /** A logger that keeps what faults say. */
  function keepFaults() {
    const faults: string[] = []
    const keep = (facts: object): void => void faults.push(JSON.stringify(facts))
    return { faults, logger: { warn: keep, error: keep } }
  }

  /** A witness that has deleted the first of two segments, and was stopped. */
  async function stopped() {
    const clock = fakeClock()
    const one = await startWitness({ dir: tempFolder(), clock, segment: { maxBytes: 65_536 } })
    const log = new SentLog(one.url).make(2000)
    for (let at = 0; at < 2000; at += 250) expect((await log.send(at, at + 250)).status).toBe(200)
    expect((await log.checkpoint()).status).toBe(200)
    const segments = join(one.dir, 'shop/host.0/traffic/segments')
    for (const name of segmentsOf(one.dir)) utimesSync(join(segments, name), clock.now() / 1000, clock.now() / 1000)
    const first = segmentsOf(one.dir)[0]!
    utimesSync(join(segments, first), clock.now() / 1000 - 91 * 86_400, clock.now() / 1000 - 91 * 86_400)
    clock.advance(3_600_000)
    await until(() => !segmentsOf(one.dir).includes(first))
    await one.close()
    return { ...one, log, segments, path: join(one.dir, 'shop/host.0/traffic/statement') }
  }

  it('that somebody has edited is not signed anew', async () => {
    const { dir, vkey, log, segments, path } = await stopped()
    const next = segmentsOf(dir)[1]!
    rmSync(join(segments, segmentsOf(dir)[0]!))
    const edited = readFileSync(path, 'utf8').replace(/pruned \d+/, `pruned ${Number(next.slice(0, 16))}`)
    writeFileSync(path, edited)
    const { faults, logger } = keepFaults()
    const again = await startWitness({ dir, logger })
    expect(again.vkey).toBe(vkey)
    log.url = again.url
    expect(await log.send(1999, 2000)).toMatchObject({ status: 503 })
    expect(faults.join()).toContain(`${path} is none of this witness, nor of its formerKeys`)
    await again.close()
    expect(readFileSync(path, 'utf8')).toBe(edited)
    expect(await verifyLog(dir, { vkey: `${log.signer.vkey}\n${vkey}` })).toMatchObject({ ok: false })
  })

  it('of a key that the witness had before counts where that is named', async () => {
    const { dir, vkey, log, path } = await stopped()
    rmSync(join(dir, 'witness.key'))
    const { faults, logger } = keepFaults()
    const refused = await startWitness({ dir, logger })
    log.url = refused.url
    expect(await log.send(1999, 2000)).toMatchObject({ status: 503 })
    expect(faults.join()).toContain('it is not signed by a known key')
    await refused.close()
    const again = await startWitness({ dir, formerKeys: [vkey] })
    log.url = again.url
    expect(await log.send(1999, 2000)).toMatchObject({ status: 200 })
    await again.close()
    expect(readFileSync(path, 'utf8')).toContain('pruned')
    // It is signed anew by the key of now.
    const keys = [log.signer.vkey, again.vkey].join('\n')
    expect(await verifyLog(dir, { vkey: keys })).toMatchObject({ ok: true })
    expect(() => createWitness({ dir, tokens: [token], formerKeys: ['shop'] })).toThrow(
      'formerKeys[0]: expected the verifier key of a witness',
    )
  })
})
