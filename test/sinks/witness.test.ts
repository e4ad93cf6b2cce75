// witnessSink: brings a whole log to a witness, through whatever happens on either side.
import { cpSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import type { AuditEvent } from '../../src/events.ts'
import { cosignedAt, parseWitnessKey } from '../../src/log/cosignature.ts'
import { verifyLog } from '../../src/log/verify.ts'
import type { AnySink, Sink } from '../../src/sink.ts'
import { fileSink, witnessSink } from '../../src/sinks/index.ts'
import { tempFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'
import { startWitness, type TestWitness, token } from '../support/witness.ts'

const quiet = { warn: () => undefined, error: () => undefined }

/** A node with a log on disk that sends to this place. */
function node(dir: string, url: string, more: Parameters<typeof witnessSink>[0] | object = {}, sinks: AnySink[] = []) {
  const sink = witnessSink({ url, token, intervalMs: 10, ...more })
  const own = sinks.length > 0 ? sinks : [fileSink({ dir, instance: 'host.0', checkpoint: { intervalMs: 20 } })]
  return { sink, audit: createAudit({ service: 'shop', sinks: [...own, sink], logger: quiet }) }
}

const originsOf = ({ witness }: TestWitness) => Object.entries(witness.roster().origins)
/** Both logs that always have lines are there, and cosigned. */
const settled = (test: TestWitness) =>
  until(() => originsOf(test).filter(([, { size, lines }]) => size === lines && size > 0).length >= 2)
/** For a close that is to leave nothing behind, however slow the disks of the node and of the witness are. */
const patient = { deadlineMs: 600_000 }

/** A log of which retention has deleted the first lines. */
async function prunedLog() {
  const dir = tempFolder()
  const small = { dir, instance: 'host.0', maxBytes: 1 << 20, checkpoint: { intervalMs: 20 } }
  const alone = createAudit({ service: 'shop', sinks: [fileSink(small)], logger: quiet })
  await alone.ready()
  const pruned: unknown[] = []
  alone.on('audit.pruned', ({ log }) => pruned.push(log.last))
  for (let i = 0; i < 3000; i++) {
    alone.record('app.thing', { i, text: 'x'.repeat(900) })
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => pruned.length > 0)
  await alone.close(patient)
  return { dir, small }
}

/** The witness has all lines of the node, but for those of which it has hashes. */
async function expectMissing(test: TestWitness, dir: string): Promise<void> {
  const keys = readFileSync(join(dir, 'host.0', 'vkey'), 'utf8')
  const report = await verifyLog(test.dir, { vkey: `${keys}\n${test.vkey}` })
  expect(report).toMatchObject({ ok: true, authenticated: true })
  expect(report.instances[0]!.logs.reduce((sum, { missing }) => sum + missing, 0)).toBeGreaterThan(100)
}

describe('witnessSink', () => {
  it('brings every line and checkpoint, and keeps what the witness has cosigned', async () => {
    const test = await startWitness({ dir: tempFolder() })
    const dir = tempFolder()
    const kept: string[] = []
    const { sink, audit } = node(dir, test.url, {
      vkey: test.vkey,
      compress: 'gzip',
      onCosigned: ({ note }: { note: string }) => kept.push(note),
    })
    await audit.ready()
    for (let i = 0; i < 700; i++) audit.record('app.thing', { i })
    audit.record('access.denied', { rule: 'login' })
    await settled(test)
    await audit.close(patient)
    expect(originsOf(test).map(([, { state }]) => state)).toEqual(['closed', 'closed', 'closed'])
    // Its folder is that of the node, byte for byte.
    for (const log of ['traffic', 'security', 'control']) {
      const path = join('host.0', log, 'segments', '0000000000000000.jsonl')
      expect(readFileSync(join(test.dir, 'shop', path), 'utf8')).toBe(readFileSync(join(dir, path), 'utf8'))
    }
    expect(await verifyLog(test.dir)).toMatchObject({ ok: true })
    expect(await verifyLog(dir, { roster: JSON.stringify(test.witness.roster()) })).toMatchObject({ ok: true })
    expect(sink.cosigned.size).toBe(3)
    for (const { note } of sink.cosigned.values()) {
      expect(cosignedAt(note, parseWitnessKey(test.vkey))).toBeDefined()
      expect(kept).toContain(note)
    }
    const checkpoints = [...sink.cosigned.values()].map(({ note }) => note).join('\n')
    expect(await verifyLog(dir, { checkpoints })).toMatchObject({
      ok: true,
      instances: [{ logs: [{ pinned: expect.any(Number) }, {}, {}] }],
    })
  })

  it('sends what it has again to a witness that has lost all', async () => {
    const lost = tempFolder()
    const first = await startWitness({ dir: lost })
    const dir = tempFolder()
    const one = node(dir, first.url)
    for (let i = 0; i < 50; i++) one.audit.record('app.thing', { i })
    await one.audit.ready()
    await settled(first)
    await one.audit.close(patient)
    await first.close()
    rmSync(lost, { recursive: true })
    const second = await startWitness({ dir: tempFolder() })
    const two = node(dir, second.url)
    for (let i = 0; i < 50; i++) two.audit.record('app.thing', { i })
    await until(() => originsOf(second).find(([origin]) => origin.includes('/traffic/'))?.[1].lines === 100)
    await two.audit.close(patient)
    expect(await verifyLog(second.dir)).toMatchObject({ ok: true })
    expect(await verifyLog(dir, { roster: JSON.stringify(second.witness.roster()) })).toMatchObject({ ok: true })
  })

  it('shows a folder that was rolled back: the witness names it, verification as well, and the sink fails visibly', async () => {
    const test = await startWitness({ dir: tempFolder() })
    const dir = tempFolder()
    const before = tempFolder()
    const one = node(dir, test.url)
    await one.audit.ready()
    for (let i = 0; i < 20; i++) one.audit.record('app.thing', { i })
    await one.audit.close(patient)
    cpSync(dir, before, { recursive: true })
    const two = node(dir, test.url)
    await two.audit.ready()
    for (let i = 0; i < 20; i++) two.audit.record('app.thing', { secret: i })
    await two.audit.close(patient)
    rmSync(dir, { recursive: true })
    cpSync(before, dir, { recursive: true })
    const roster = JSON.stringify(test.witness.roster())
    expect((await verifyLog(dir)).ok).toBe(true)
    const report = await verifyLog(dir, { roster })
    expect(report.ok).toBe(false)
    expect(JSON.stringify(report)).toContain('was put back')

    const three = node(dir, test.url)
    const failing: AuditEvent<'audit.sink_changed'>[] = []
    three.audit.on('audit.sink_changed', (event) => failing.push(event))
    await three.audit.ready()
    three.audit.record('app.thing', { other: true })
    await until(() => test.changes.some(({ to }) => to === 'shrunk') && failing.length > 0)
    expect(failing.map(({ log }) => log.to)).toEqual(['failing'])
    expect(failing[0]!.log.last_error).toContain('is another one than before')
    await three.audit.close({ deadlineMs: 200 })
    expect(await verifyLog(test.dir)).toMatchObject({ ok: true })
  })

  it('sends hashes of what retention has deleted before it was sent', async () => {
    const { dir, small } = await prunedLog()
    const test = await startWitness({ dir: tempFolder() })
    const { audit } = node(dir, test.url, {}, [fileSink(small)])
    await audit.ready()
    await settled(test)
    await audit.close(patient)
    await expectMissing(test, dir)
  }, 60_000)

  it('sends hashes of what retention has deleted to a witness that has lost all', async () => {
    const { dir, small } = await prunedLog()
    for (let round = 0; round < 2; round++) {
      const test = await startWitness({ dir: tempFolder() })
      const { audit } = node(dir, test.url, {}, [fileSink(small)])
      await audit.ready()
      audit.record('app.thing', { round })
      await settled(test)
      await audit.close(patient)
      await expectMissing(test, dir)
    }
  }, 60_000)

  it('serves a node without a disk', async () => {
    const test = await startWitness({ dir: tempFolder() })
    const sink = witnessSink({ url: test.url, token, intervalMs: 10 })
    const audit = createAudit({ service: 'shop', sinks: [sink], logger: quiet })
    await audit.ready()
    for (let i = 0; i < 300; i++) audit.record('app.thing', { i })
    await settled(test)
    await audit.close(patient)
    expect(await verifyLog(test.dir)).toMatchObject({ ok: true })
  })

  it('serves a node without a disk whose memory was too small while the witness was away', async () => {
    const test = await startWitness({ dir: tempFolder() })
    let away = true
    const real = witnessSink({ url: test.url, token, intervalMs: 10 })
    const sink: Sink = {
      ...real,
      write: async (batch, signal) => (away ? Promise.reject(new Error('away')) : real.write(batch, signal)),
    }
    const audit = createAudit({ service: 'shop', sinks: [sink], logger: quiet, queueBytes: 64 * 1024 })
    await audit.ready()
    for (let i = 0; i < 500; i++) audit.record('app.thing', { i, text: 'x'.repeat(500) })
    away = false
    await settled(test)
    await audit.close(patient)
    const report = await verifyLog(test.dir)
    expect(report).toMatchObject({ ok: true })
    expect(report.instances[0]!.logs.reduce((sum, { missing }) => sum + missing, 0)).toBeGreaterThan(100)
  })

  it('brings the checkpoints by which one key handed over to the next', async () => {
    const test = await startWitness({ dir: tempFolder() })
    const dir = tempFolder()
    const one = node(dir, test.url)
    await one.audit.ready()
    one.audit.record('app.thing', {})
    await settled(test)
    const first = readFileSync(join(dir, 'host.0', 'vkey'), 'utf8')
    await one.audit.rotateKey()
    await one.audit.close(patient)
    // Others that the witness does not see at once.
    for (let i = 0; i < 2; i++) {
      const alone = createAudit({ service: 'shop', sinks: [fileSink({ dir, instance: 'host.0' })], logger: quiet })
      await alone.ready()
      await alone.rotateKey()
      await alone.close(patient)
    }
    const last = readFileSync(join(dir, 'host.0', 'vkey'), 'utf8')
    const two = node(dir, test.url)
    await two.audit.ready()
    two.audit.record('app.thing', {})
    two.audit.record('access.denied', { rule: 'login' })
    await until(() => originsOf(test).filter(([, { vkey }]) => `${vkey}\n` === last).length === 3)
    await two.audit.close(patient)
    expect(first).not.toBe(last)
    expect(await verifyLog(test.dir, { vkey: `${first}${test.vkey}` })).toMatchObject({ ok: true, authenticated: true })
  })

  it('takes no cosignature of another witness for one', async () => {
    const [test, other] = [await startWitness({ dir: tempFolder() }), await startWitness({ dir: tempFolder() })]
    const { audit, sink } = node(tempFolder(), test.url, { vkey: other.vkey })
    const failing: string[] = []
    audit.on('audit.sink_changed', ({ log }) => failing.push(String(log.last_error)))
    await audit.ready()
    await until(() => failing.length === 1)
    expect(failing[0]).toContain('did not cosign')
    expect(sink.cosigned.size).toBe(0)
    await audit.close({ deadlineMs: 100 })
  })

  it('tells what is wrong with its options, and no secret', () => {
    const wrong = { url: 'ftp://x', vkey: 'nonsense', filter: {}, token: '' }
    expect(() => witnessSink(wrong as never)).toThrow(
      /url: [\s\S]*vkey: expected the verifier key of a witness|filter: unknown option/,
    )
    expect(() => witnessSink({ url: 'http://x', tls: {} })).toThrow('tls: expected only with an https:// URL')
  })
})
