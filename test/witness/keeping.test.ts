// What a witness deletes: what is too old or too much, by whole segments, and in a way that verifies.
import { generateKeyPairSync, sign as signBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { liftHold, placeHold } from '../../src/log/holds.ts'
import { verifyLog } from '../../src/log/verify.ts'
import type { LogName } from '../../src/sink.ts'
import { createWitness, type WitnessOptions } from '../../src/witness/index.ts'
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

/** A witness that holds a log, and another by whose end is seen that it has looked. */
async function looked(options: Partial<WitnessOptions> = {}) {
  const clock = fakeClock(Date.now())
  const one = await startWitness({ dir: tempFolder(), clock, ...options })
  const log = new SentLog(one.url).make(50)
  expect((await log.send()).status).toBe(200)
  const marks = join(one.dir, 'shop', 'host.9', 'control', 'segments')
  const mark = new SentLog(one.url, 'control', 'shop/host.9')
  const date = (dir: string, ms: number): void => {
    const newest = readdirSync(dir).sort().at(-1)!
    utimesSync(join(dir, newest), ms / 1000, ms / 1000)
  }
  return {
    ...one,
    clock,
    log,
    /** As the file system does with what was written last. */
    dateLines: () => date(join(one.dir, 'shop', 'host.0', 'traffic', 'segments'), clock.now()),
    /** Until a look is over that has begun after the call. */
    async look(): Promise<void> {
      const at = mark.lines.length
      expect((await mark.make(1).send(at)).status).toBe(200)
      date(marks, 0)
      const next = `${String(at + 1).padStart(16, '0')}.jsonl`
      clock.advance(3_600_000)
      await until(() => {
        clock.advance(1000)
        return readdirSync(marks).join() === next
      })
    },
  }
}

describe('a step of the clock', () => {
  it.each([
    ['ahead', [400]],
    ['back', [-400]],
    ['back, and then right', [-400, 400]],
    ['ahead, and then right', [400, -400]],
  ])('%s makes nothing old', async (_name, steps) => {
    const { clock, dir, log, dateLines, look } = await looked({ segment: { maxBytes: 65_536 } })
    for (const days of steps) {
      clock.step(days * day)
      const from = log.lines.length
      expect((await log.make(500).send(from)).status).toBe(200)
      dateLines()
      await look()
    }
    expect(segmentsOf(dir)[0]).toBe('0000000000000000.jsonl')
  })

  it('before the start makes nothing old within an hour, nor after where the clock is set right', async () => {
    const { clock, dir, close } = await looked()
    await close()
    for (const sets of [true, false]) {
      const late = fakeClock(clock.now() + 400 * day)
      const again = await startWitness({ dir, clock: late })
      for (let seconds = 0; seconds < 3599; seconds++) {
        late.advance(1000)
        await new Promise(setImmediate)
      }
      expect(segmentsOf(dir)).toEqual(['0000000000000000.jsonl'])
      if (sets) late.step(-400 * day)
      for (let seconds = 0; seconds < 3600; seconds++) {
        late.advance(1000)
        await new Promise(setImmediate)
      }
      if (sets) expect(segmentsOf(dir)).toEqual(['0000000000000000.jsonl'])
      else
        await until(() => {
          // A look that took its time has the next one come later.
          late.advance(1000)
          return segmentsOf(dir).join() === '0000000000000050.jsonl'
        })
      await again.close()
    }
  })
})

describe('a legal hold', () => {
  const hold = { name: 'case-12', by: 'legal', reason: 'letter' }

  it.each([
    ['of all', ''],
    ['of one service', 'shop'],
  ])('%s keeps lines until it is lifted, whatever their age', async (_name, where) => {
    const { clock, dir, vkey, log, look } = await looked()
    expect((await log.checkpoint()).status).toBe(200)
    await placeHold(join(dir, where), { ...hold, logs: ['traffic'] })
    clock.advance(100 * day)
    await look()
    expect(segmentsOf(dir)).toEqual(['0000000000000000.jsonl'])
    await liftHold(join(dir, where), hold.name)
    await look()
    expect(segmentsOf(dir)).toEqual(['0000000000000050.jsonl'])
    expect(await verifyLog(join(dir, 'shop/host.0'), { vkey: `${log.signer.vkey}\n${vkey}` })).toMatchObject({
      ok: true,
    })
  })

  it('that cannot be read keeps all', async () => {
    const { clock, dir, told } = await looked()
    writeFileSync(join(dir, 'holds'), '')
    clock.advance(100 * day)
    await until(() => {
      clock.advance(10_000)
      return told.length > 0
    })
    expect(segmentsOf(dir)).toEqual(['0000000000000000.jsonl'])
  })

  it('counts up to the moment in which lines would go', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const dir = tempFolder()
    const sign = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const states = /^auditlb\/witness.*\n.*host\.0.*\npruned 50/.test(Buffer.from(bytes).toString())
      if (states && !existsSync(join(dir, 'holds'))) await placeHold(dir, hold)
      return signBytes(null, bytes, privateKey)
    }
    const { clock, vkey, log, close } = await looked({ dir, key: { publicKey, sign } })
    expect((await log.checkpoint()).status).toBe(200)
    clock.advance(100 * day)
    await until(() => {
      clock.advance(10_000)
      return existsSync(join(dir, 'holds/case-12.json'))
    })
    // Which it was in the middle of.
    await close()
    expect(readdirSync(join(dir, 'shop/host.0/traffic/segments'))).toContain('0000000000000000.jsonl')
    const keys = `${log.signer.vkey}\n${vkey}`
    expect(await verifyLog(join(dir, 'shop/host.0'), { vkey: keys })).toMatchObject({ ok: true })
    const again = await startWitness({ dir, key: { publicKey, sign } })
    log.url = again.url
    expect((await log.make(5).send(50)).status).toBe(200)
  })

  it('takes no room from what is not held', async () => {
    const { dir, log, url } = await looked({ maxBytes: 16 << 20, segment: { maxBytes: 1 << 20 } })
    await placeHold(dir, { ...hold, logs: ['traffic'] })
    log.make(3000, { text: 'x'.repeat(6000) })
    for (let at = 50; at < 3050; at += 100) while ((await log.send(at, at + 100)).status !== 200);
    expect(segmentsOf(dir)[0]).toBe('0000000000000000.jsonl')
    expect((await new SentLog(url, 'control', 'shop/host.1').make(20).send()).status).toBe(200)
  }, 60_000)
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
    // Each try opens the segment, and closes it again.
    const descriptors = () => readdirSync('/proc/self/fd').length
    const before = descriptors()
    for (let i = 0; i < 20; i++) await log.send(1999, 2000)
    expect(descriptors()).toBeLessThan(before + 10)
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
