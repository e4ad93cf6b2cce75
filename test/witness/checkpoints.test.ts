// Checkpoints at a witness: C2SP tlog-witness, cosignatures, and whose key counts.
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatCheckpoint } from '../../src/log/checkpoint.ts'
import { cosignedAt, parseWitnessKey } from '../../src/log/cosignature.ts'
import { emptyRoot, leafHash } from '../../src/log/merkle.ts'
import { signNote } from '../../src/log/note.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { createWitness } from '../../src/witness/index.ts'
import { tempFolder } from '../support/folder.ts'
import { newSigner } from '../support/hand-log.ts'
import { lineAt } from '../support/log.ts'
import { SentLog, startWitness } from '../support/witness.ts'

/** A log whose lines the witness has, and whose key it knows. */
async function known(lines = 8, options: object = {}) {
  const test = await startWitness({ dir: tempFolder(), ...options })
  const log = new SentLog(test.url).make(lines)
  await log.send()
  return { ...test, log }
}

describe('a cosignature', () => {
  it('is what C2SP tlog-cosignature says, byte for byte', async () => {
    const { log, vkey } = await known()
    const { text } = await log.checkpoint()
    const [, name, body] = /^— (\S+) (\S+)\n$/.exec(text)!
    const bytes = Buffer.from(body!, 'base64')
    expect(bytes.length).toBe(4 + 8 + 64)
    const raw = Buffer.from(/^[^+]+\+[^+]+\+(.+)$/.exec(vkey)![1]!, 'base64')
    expect([raw[0], raw.length]).toEqual([4, 33])
    const id = createHash('sha256').update(`${name}\n`).update(raw).digest().subarray(0, 4)
    expect(bytes.subarray(0, 4)).toEqual(id)
    const seconds = bytes.readBigUInt64BE(4)
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(60)
    const note = log.note()
    const message = Buffer.from(`cosignature/v1\ntime ${seconds}\n${note.slice(0, note.indexOf('\n\n') + 1)}`)
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: raw.subarray(1).toString('base64url') },
      format: 'jwk',
    })
    expect(verify(null, message, key, bytes.subarray(12))).toBe(true)
    expect(cosignedAt(`${note}${text}`, parseWitnessKey(vkey))).toBe(Number(seconds))
    expect(cosignedAt(`${note}${text}`.replace('\n8\n', '\n7\n'), parseWitnessKey(vkey))).toBeUndefined()
  })

  it('may be made by a key that is elsewhere, and verifies like any other', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const key = { publicKey, sign: async (message: Uint8Array) => sign(null, message, privateKey) }
    const { log, vkey, dir } = await known(8, { key, name: 'witness.example/w1' })
    expect(vkey).toMatch(/^witness\.example\/w1\+/)
    expect((await log.checkpoint()).status).toBe(200)
    expect(existsSync(join(dir, 'witness.key'))).toBe(false)
    expect((await verifyLog(dir, { vkey: `${vkey}\n${log.signer.vkey}` })).authenticated).toBe(true)
  })

  it('is by a key that only its owner can read, the same after a restart', async () => {
    const { dir, vkey, close, url } = await known()
    expect(statSync(join(dir, 'witness.key')).mode & 0o777).toBe(0o600)
    expect(await (await fetch(`${url}/vkey`)).text()).toBe(`${vkey}\n`)
    await close()
    expect((await startWitness({ dir })).vkey).toBe(vkey)
  })

  it('is kept beside the lines, with the signature of the writer', async () => {
    const { log, dir, vkey } = await known()
    const { text } = await log.checkpoint()
    const path = join(dir, 'shop', 'host.0', 'traffic', 'checkpoint')
    expect(readFileSync(path, 'utf8')).toBe(`${log.note()}${text}`)
    // Signed notes that carry older cosignatures do not pile up.
    await log.checkpoint(readFileSync(path, 'utf8'))
    expect(readFileSync(path, 'utf8').match(/^— /gm)).toHaveLength(2)
    expect(cosignedAt(readFileSync(path, 'utf8'), parseWitnessKey(vkey))).toBeDefined()
  })
})

describe('add-checkpoint', () => {
  it('cosigns from size to size, and at the same size again', async () => {
    const { log, vkey } = await known(13)
    await log.checkpoint(log.note(3))
    for (const [old, size] of [
      [3, 7],
      [7, 7],
      [7, 8],
      [8, 13],
    ] as const) {
      const answer = await log.addCheckpoint(old, log.proof(old, size), log.note(size))
      expect(answer.status).toBe(200)
      expect(cosignedAt(`${log.note(size)}${answer.text}`, parseWitnessKey(vkey))).toBeDefined()
    }
  })

  it('needs no token, and no key that was sent before where keys are configured', async () => {
    const signer = newSigner('shop/host.0')
    const { url } = await startWitness({ dir: tempFolder(), origins: { 'shop/*': signer.vkey } })
    const log = new SentLog(url, 'traffic', 'shop/host.0', '00aa', signer).make(3)
    await log.send()
    const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: `old 0\n\n${log.note()}` })
    expect(response.status).toBe(200)
  })

  it.each([
    [
      '404 for an origin that is not known',
      404,
      () => ['old 0\n\n', new SentLog('', 'traffic', 'shop/none').make(1).note()],
    ],
    [
      '403 without a signature of a known key',
      403,
      (log: SentLog) => ['old 3\n\n', log.note(8, newSigner('shop/host.0'))],
    ],
    [
      '403 with a wrong signature of a known key',
      403,
      (log: SentLog) => ['old 3\n\n', log.note(8).replace('\n8\n', '\n7\n')],
    ],
    ['400 for an old size above the new one', 400, (log: SentLog) => ['old 9\n\n', log.note(8)]],
    ['400 without an old size', 400, (log: SentLog) => ['\n', log.note(8)]],
    ['400 for an old size with a leading zero', 400, (log: SentLog) => ['old 03\n\n', log.note(8)]],
    ['400 for an old size below zero', 400, (log: SentLog) => ['old -1\n\n', log.note(8)]],
    ['400 for a proof that is no base64', 400, (log: SentLog) => ['old 3\nnonsense\n\n', log.note(8)]],
    ['400 for a hash that is too short', 400, (log: SentLog) => ['old 3\nAAAA\n\n', log.note(8)]],
    [
      '400 for more than 63 lines of proof',
      400,
      (log: SentLog) => [`old 3\n${`${log.proof(3, 8)[0]}\n`.repeat(64)}\n`, log.note(8)],
    ],
    ['400 for what is no note', 400, () => ['old 3\n\n', 'nonsense\n']],
    ['400 for an empty body', 400, () => ['', '']],
    ['422 without the proof', 422, (log: SentLog) => ['old 3\n\n', log.note(8)]],
    ['422 for another proof', 422, (log: SentLog) => [`old 3\n${log.proof(2, 8).join('\n')}\n\n`, log.note(8)]],
    ['422 for a proof at the same size', 422, (log: SentLog) => [`old 3\n${log.proof(2, 8)[0]}\n\n`, log.note(3)]],
  ])('answers %s', async (_, status, make) => {
    const { log, url, witness } = await known()
    await log.checkpoint(log.note(3))
    const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: make(log).join('') })
    expect(response.status).toBe(status)
    expect(await response.text()).not.toContain('— witness')
    expect(witness.roster().origins[log.origin]).toMatchObject({ size: 3, state: 'open' })
  })

  it('answers 409 with the latest size for another old size', async () => {
    const { log } = await known()
    await log.checkpoint(log.note(3))
    for (const old of [0, 2, 5]) {
      const answer = await log.addCheckpoint(old, old === 0 ? [] : log.proof(old, 8), log.note(8))
      expect([answer.status, answer.text, answer.headers.get('content-type')]).toEqual([409, '3\n', 'text/x.tlog.size'])
    }
  })

  it('answers 409 for another root at the same size, and marks the log', async () => {
    const { log, witness } = await known()
    await log.checkpoint(log.note(3))
    const fork = signNote(formatCheckpoint({ origin: log.origin, size: 3, root: leafHash('x') }), log.signer)
    expect((await log.addCheckpoint(3, [], fork)).status).toBe(409)
    expect(witness.roster().origins[log.origin]!.state).toBe('shrunk')
  })

  it('answers 503 until the lines are here, and 200 then', async () => {
    const { log } = await known()
    await log.checkpoint(log.note(3))
    log.make(4)
    const answer = await log.addCheckpoint(3, log.proof(3, 12), log.note(12))
    expect(answer).toMatchObject({ status: 503, json: { error: 'lines-first', size: 8 } })
    expect(answer.headers.get('retry-after')).toBe('1')
    await log.send(8)
    expect((await log.addCheckpoint(3, log.proof(3, 12), log.note(12))).status).toBe(200)
  })

  it('begins at zero: the empty tree has its root, and a proof from it is empty', async () => {
    const signer = newSigner('shop/host.0')
    const { url } = await startWitness({ dir: tempFolder(), origins: { 'shop/*': signer.vkey } })
    const log = new SentLog(url, 'traffic', 'shop/host.0', '00aa', signer).make(3)
    await log.send()
    const empty = (root: string) => signNote(formatCheckpoint({ origin: log.origin, size: 0, root }), signer)
    expect((await log.addCheckpoint(0, [], empty(leafHash('x')))).status).toBe(422)
    expect((await log.addCheckpoint(0, log.proof(1, 2), empty(emptyRoot))).status).toBe(422)
    expect((await log.addCheckpoint(0, [], empty(emptyRoot))).status).toBe(200)
    expect((await log.addCheckpoint(0, log.proof(1, 3), log.note())).status).toBe(422)
    expect((await log.addCheckpoint(0, [], log.note())).status).toBe(200)
    expect((await log.addCheckpoint(0, [], empty(emptyRoot))).status).toBe(409)
  })

  it('lets one of two that race through', async () => {
    const { log, witness } = await known(64)
    await log.checkpoint(log.note(3))
    const answers = await Promise.all(
      [5, 9, 17, 33, 64].map((size) => log.addCheckpoint(3, log.proof(3, size), log.note(size))),
    )
    const won = answers.filter(({ status }) => status === 200)
    expect(won).toHaveLength(1)
    const { size } = witness.roster().origins[log.origin]!
    for (const answer of answers.filter(({ status }) => status !== 200))
      expect(answer).toMatchObject({ status: 409, text: `${size}\n` })
  })
})

describe('a checkpoint of a sender', () => {
  it('waits for its lines', async () => {
    const { log } = await known()
    log.make(2)
    expect(await log.checkpoint()).toMatchObject({ status: 409, json: { error: 'gap', size: 8 } })
    await log.send(8)
    expect((await log.checkpoint()).status).toBe(200)
    expect((await log.checkpoint()).status).toBe(200)
  })

  it('that is older than the last marks the log until it has caught up', async () => {
    const { log, witness, changes } = await known()
    await log.checkpoint()
    expect(await log.checkpoint(log.note(5))).toMatchObject({ status: 409, json: { error: 'older', size: 8 } })
    expect(witness.roster().origins[log.origin]).toMatchObject({ size: 8, state: 'shrunk' })
    log.make(1)
    await log.send(8)
    expect((await log.checkpoint()).status).toBe(200)
    expect(changes.map(({ to }) => to)).toEqual(['open', 'shrunk', 'open'])
  })

  it('of other lines than those that came is refused, and kept', async () => {
    const { log, witness, dir } = await known()
    const other = new SentLog('', 'traffic', 'shop/host.0', '00aa', log.signer).make(8, { other: true })
    expect(await log.checkpoint(other.note())).toMatchObject({ status: 409, json: { error: 'rewritten' } })
    expect(witness.roster().origins[log.origin]).toMatchObject({ size: 0, state: 'shrunk' })
    const [name] = readdirSync(join(dir, 'shop', 'host.0', 'traffic', 'evidence'))
    expect(readFileSync(join(dir, 'shop', 'host.0', 'traffic', 'evidence', name!), 'utf8')).toContain(
      JSON.stringify(other.note()).slice(1, -1),
    )
  })

  it('counts by the first key of its log, and by no other that was not handed over to', async () => {
    const { log, refusals, witness } = await known()
    await log.checkpoint(log.note(3))
    const stranger = newSigner('shop/host.0')
    expect(await log.checkpoint(log.note(8, stranger), stranger.vkey)).toMatchObject({
      status: 403,
      json: { error: 'key-refused' },
    })
    expect(refusals).toMatchObject([{ code: 'key-refused', origin: log.origin }])
    const elsewhere = newSigner('shop/host.1')
    expect(await log.checkpoint(log.note(8, elsewhere), elsewhere.vkey)).toMatchObject({ status: 403 })
    expect(await log.checkpoint(log.note(8), 'nonsense')).toMatchObject({ status: 400 })
    expect(witness.roster().origins[log.origin]).toMatchObject({ size: 3, vkey: log.signer.vkey })
  })

  it('counts by the keys that are configured, or that the host accepts', async () => {
    const signer = newSigner('shop/host.0')
    const asked: string[] = []
    const accept = async (origin: string, vkey: string) => asked.push(`${origin} ${vkey}`) > 1
    const { url } = await startWitness({ dir: tempFolder(), origins: { 'shop/*': signer.vkey }, accept })
    const wrong = new SentLog(url).make(1)
    await wrong.send()
    expect((await wrong.checkpoint()).status).toBe(403)
    const right = new SentLog(url, 'traffic', 'shop/host.0', '00bb', signer).make(1)
    await right.send()
    expect((await right.checkpoint()).status).toBe(200)
    const other = new SentLog(url, 'traffic', 'cart/host.0').make(1)
    await other.send()
    expect((await other.checkpoint()).status).toBe(403)
    expect((await other.checkpoint()).status).toBe(200)
    expect(asked).toEqual([`${other.origin} ${other.signer.vkey}`, `${other.origin} ${other.signer.vkey}`])
  })

  it('of a writer without a key is refused where keys are configured, its lines too', async () => {
    const { url, witness } = await startWitness({
      dir: tempFolder(),
      origins: { 'cart/*': newSigner('cart/host.0').vkey },
    })
    const log = new SentLog(url).make(1)
    expect(await log.send()).toMatchObject({ status: 404, json: { error: 'origin-unknown' } })
    expect(witness.roster().origins).toEqual({})
  })
})

describe('a change of keys', () => {
  const rotation = (log: SentLog, to: string) => ({
    event_name: 'audit.key_rotated',
    log: { from: log.signer.vkey, reason: 'rotated', to },
  })

  it('counts once the old key has signed the line that names the new one', async () => {
    const { log, dir, vkey } = await known()
    await log.checkpoint()
    const next = newSigner('shop/host.0')
    log.make(1, rotation(log, next.vkey))
    await log.send(8)
    // Not before.
    expect((await log.checkpoint(log.note(9, next), next.vkey)).status).toBe(403)
    expect((await log.checkpoint()).status).toBe(200)
    const old = log.signer
    log.make(3)
    await log.send(9)
    expect((await log.checkpoint(log.note(12, next), next.vkey)).status).toBe(200)
    // The old one is over.
    expect((await log.checkpoint(log.note(12, old), old.vkey)).status).toBe(403)
    const report = await verifyLog(dir, { vkey: `${old.vkey}\n${vkey}` })
    expect(report).toMatchObject({ ok: true, authenticated: true })
  })

  it('counts by the checkpoint that is sent along, also after a restart', async () => {
    const { log, dir, close, vkey } = await known()
    await log.checkpoint()
    const [old, second, third] = [log.signer, newSigner('shop/host.0'), newSigner('shop/host.0')]
    log.make(1, rotation(log, second.vkey))
    const handover = log.note(9)
    log.signer = second
    log.make(2).make(1, rotation(log, third.vkey))
    const handover2 = log.note(12)
    log.make(3)
    await log.send(8)
    await close()
    const again = await startWitness({ dir })
    const sent = Object.assign(new SentLog(again.url, 'traffic', 'shop/host.0', '00aa', third), { lines: log.lines })
    expect((await sent.checkpoint(sent.note(15, third))).status).toBe(403)
    // One by a key that is not known yet proves nothing.
    expect((await sent.checkpoint([handover2, sent.note()])).status).toBe(403)
    expect((await sent.checkpoint([handover, handover2, sent.note()])).status).toBe(200)
    expect((await sent.checkpoint([handover, handover2, sent.note()])).status).toBe(200)
    expect(await verifyLog(dir, { vkey: `${old.vkey}\n${vkey}` })).toMatchObject({ ok: true, authenticated: true })
  })
})

describe('two lives of one writer', () => {
  it('are kept apart: a new key begins a folder of its own, and both verify', async () => {
    const { url, dir, vkey, witness } = await startWitness({ dir: tempFolder() })
    const [one, two] = [newSigner('shop/host.0'), newSigner('shop/host.0')]
    const life = (id: string, signer = one) =>
      (['traffic', 'control'] as const).map((log) => new SentLog(url, log, 'shop/host.0', id, signer).make(3))
    const logs = [...life('00aa'), ...life('00bb', two)]
    // The first log of the second life finds the place of one that the first life never had.
    logs.push(new SentLog(url, 'security', 'shop/host.0', '00bb', two).make(2))
    for (const log of logs) expect((await log.send()).status).toBe(200)
    for (const log of logs) expect((await log.checkpoint()).status).toBe(200)
    expect(readdirSync(join(dir, 'shop')).sort()).toEqual(['host.0', 'host.0~2'])
    expect(readdirSync(join(dir, 'shop', 'host.0~2')).sort()).toEqual([
      'control',
      'security',
      'traffic',
      'vkey',
      'witness.vkey',
    ])
    const report = await verifyLog(dir, { vkey: [one.vkey, two.vkey, vkey].join('\n') })
    expect(report).toMatchObject({ ok: true, authenticated: true })
    expect(report.instances.map(({ instance, logs: all }) => [instance, all.length])).toEqual([
      ['shop/host.0', 2],
      ['shop/host.0~2', 3],
    ])
    expect((await verifyLog(dir, { roster: JSON.stringify(witness.roster()) })).elsewhere).toEqual([])
  })

  it('of one key, where a log was set aside, are kept apart as well', async () => {
    const { url, dir } = await startWitness({ dir: tempFolder() })
    const signer = newSigner('shop/host.0')
    for (const id of ['00aa', '00bb', '00cc']) {
      const log = new SentLog(url, 'traffic', 'shop/host.0', id, signer).make(3)
      await log.send()
      expect((await log.checkpoint()).status).toBe(200)
    }
    expect(readdirSync(join(dir, 'shop')).sort()).toEqual(['host.0', 'host.0~2', 'host.0~3'])
    expect((await verifyLog(dir)).ok).toBe(true)
  })
})

describe('a witness', () => {
  it('has its folder for itself', async () => {
    const { dir } = await startWitness({ dir: tempFolder() })
    const second = createWitness({ dir, tokens: ['another-token-of-it'] })
    await expect(second.ready()).rejects.toMatchObject({ code: 'instance-held' })
    await second.close()
  })

  it('gives its folder free, and its files, also where the disk does not take what it knows', async () => {
    const { log, dir, told, witness, close } = await known()
    await log.send()
    const { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } = await import('node:fs')
    rmSync(dir, { recursive: true })
    mkdirSync(join(dir, 'roster.json'), { recursive: true })
    writeFileSync(join(dir, 'shop'), '')
    await close()
    await witness.close()
    expect(told).toContain('the witness failed')
    const open = readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return []
      }
    })
    expect(open.filter((path) => path.startsWith(dir))).toEqual([])
  })

  it.each(['traffic', 'vkey', 'roster.json', 'witness.key', 'lock'])(
    'keeps a service and an instance by the name of %s out of the way of its own files',
    async (name) => {
      const { url, dir, witness } = await startWitness({ dir: tempFolder() })
      for (const writer of [`${name}/host.0`, `shop/${name}`]) {
        const log = new SentLog(url, 'traffic', writer).make(2)
        expect((await log.send()).status).toBe(200)
        expect((await log.checkpoint()).status).toBe(200)
      }
      expect((await verifyLog(dir)).ok).toBe(true)
      expect(Object.keys(witness.roster().origins)).toHaveLength(2)
    },
  )

  it('takes up lines whose log it knows from its folder alone', async () => {
    const { log, dir, close } = await known()
    await log.checkpoint()
    await close()
    const { rmSync } = await import('node:fs')
    rmSync(join(dir, 'roster.json'))
    const again = await startWitness({ dir })
    expect(again.witness.roster().origins[log.origin]).toMatchObject({ size: 8, vkey: log.signer.vkey, state: 'open' })
    expect(lineAt(log.origin, 0)).toBe(log.lines[0])
  })
})
