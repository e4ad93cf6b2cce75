// Checkpoints are signed by the key that was asked for, and one key hands on to the next without a break in between.
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { parseCheckpoint } from '../../src/log/checkpoint.ts'
import { openNote, parseVkey } from '../../src/log/note.ts'
import { type FileSinkOptions, fileSink } from '../../src/sinks/file.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { schemaFaults } from '../support/schemas.ts'
import { until } from '../support/until.ts'

const logs = ['traffic', 'security', 'control']
const pair = () => generateKeyPairSync('ed25519')
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string
const vkeyOf = (dir: string) => readFileSync(join(dir, 'a', 'vkey'), 'utf8').trim()
const noteOf = (dir: string, log: string, name = 'checkpoint') => readFileSync(join(dir, 'a', log, name))
const rotations = (dir: string, log: string) => {
  const folder = join(dir, 'a', log, 'keys')
  return existsSync(folder) ? readdirSync(folder).sort() : []
}
const sizeOf = (dir: string, log: string) => parseCheckpoint(noteOf(dir, log).toString())!.size
const lines = (dir: string, log: string) =>
  readdirSync(join(dir, 'a', log, 'segments'))
    .sort()
    .flatMap((name) =>
      readFileSync(join(dir, 'a', log, 'segments', name), 'utf8')
        .trimEnd()
        .split('\n'),
    )
    .map((line) => JSON.parse(line))

/** What `vkey` signed: the text of a note. */
function signedBy(vkey: string, note: Buffer): string {
  const opened = openNote(note, [parseVkey(vkey)])
  if ('fault' in opened) throw new Error(opened.fault)
  return opened.text
}

/** Follows the keys of a log from `vkey` on, as a reader does, and returns the one that signed the checkpoint. */
function follow(dir: string, log: string, vkey: string): { vkey: string; steps: string[] } {
  const known = [vkey]
  const steps: string[] = []
  for (const name of rotations(dir, log)) {
    const note = noteOf(dir, log, `keys/${name}`)
    const by = known.find((one) => !('fault' in openNote(note, [parseVkey(one)])))
    if (by === undefined) throw new Error(`${name} is signed by none of the known keys`)
    const { size } = parseCheckpoint(signedBy(by, note))!
    expect(Number(name)).toBe(size)
    const { event_name, log: facts } = lines(dir, log)[size - 1]
    expect([event_name, facts.from]).toEqual(['audit.key_rotated', by])
    known.push(facts.to)
    steps.push(facts.reason)
  }
  const last = known.findLast((one) => !('fault' in openNote(noteOf(dir, log), [parseVkey(one)])))
  return { vkey: last ?? '', steps }
}

async function written(dir: string, options: Partial<FileSinkOptions> = {}) {
  const log = await openLog({ dir, instance: 'a', ...options })
  log.write('traffic', 10)
  log.write('control', 3)
  return log
}

describe('the key is', () => {
  it('one that is made beside the log, and read by its owner alone', async () => {
    const dir = tempFolder()
    await (await written(dir)).close()
    const key = createPublicKey(readFileSync(join(dir, 'a', 'key'), 'utf8'))
    expect(parseVkey(vkeyOf(dir)).key.equals(key)).toBe(true)
    for (const log of logs) signedBy(vkeyOf(dir), noteOf(dir, log))
  })

  it('that of a file elsewhere', async () => {
    const dir = tempFolder()
    const { privateKey, publicKey } = pair()
    const file = join(tempFolder(), 'signing.pem')
    writeFileSync(file, pem(privateKey))
    await (await written(dir, { key: { file } })).close()
    expect(existsSync(join(dir, 'a', 'key'))).toBe(false)
    expect(parseVkey(vkeyOf(dir)).key.equals(publicKey)).toBe(true)
    expect(signedBy(vkeyOf(dir), noteOf(dir, 'traffic'))).toContain('\n10\n')
  })

  it.each([
    ['PEM', (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string],
    ['a KeyObject', (key: KeyObject) => key],
    ['32 bytes', (key: KeyObject) => key.export({ type: 'spki', format: 'der' }).subarray(-32)],
  ] as const)('that of a function, with a public key as %s', async (_, form) => {
    const dir = tempFolder()
    const { privateKey, publicKey } = pair()
    const key = { publicKey: form(publicKey), sign: async (bytes: Uint8Array) => sign(null, bytes, privateKey) }
    await (await written(dir, { key })).close()
    expect(parseVkey(vkeyOf(dir)).key.equals(publicKey)).toBe(true)
    expect(signedBy(vkeyOf(dir), noteOf(dir, 'traffic'))).toContain('\n10\n')
  })

  it('refused where it is none, with what was expected, and without showing it', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const secret = pem(pair().privateKey)
    for (const publicKey of [secret, pair().privateKey, rsa.publicKey, Buffer.alloc(31), 'x']) {
      const make = () => fileSink({ dir: 'x', key: { publicKey, sign: () => Buffer.alloc(64) } })
      expect(make).toThrow('key.publicKey: expected a public Ed25519 key: PEM, a KeyObject, or 32 bytes')
      expect(make).not.toThrow(secret.split('\n')[1])
    }
    const missing = openLog({ dir: tempFolder(), key: { file: '/no/such/key' } })
    await expect(missing).rejects.toMatchObject({ code: 'sink-unavailable' })
    const file = join(tempFolder(), 'rsa.pem')
    writeFileSync(file, pem(rsa.privateKey))
    await expect(openLog({ dir: tempFolder(), key: { file } })).rejects.toThrow('expected an Ed25519 key')
  })
})

describe('a function that', () => {
  const { privateKey, publicKey } = pair()
  const good = (bytes: Uint8Array) => sign(null, bytes, privateKey)
  const bad: [string, (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>][] = [
    [
      'throws',
      () => {
        throw new Error('no such KMS')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no such KMS'))],
    ['returns rubbish', () => Buffer.alloc(64, 1)],
    ['returns too little', (bytes) => good(bytes).subarray(1)],
    ['returns nothing', () => undefined as unknown as Uint8Array],
    ['signs something else', (bytes) => good(Buffer.concat([bytes, Buffer.from('x')]))],
    ['changes what it gets', (bytes) => good(bytes.fill(1))],
    ['hangs', () => new Promise(() => {})],
  ]
  it.each(bad)('%s publishes nothing and holds up no line, and is asked again', async (_, sick) => {
    const dir = tempFolder()
    const clock = fakeClock()
    let ill = false
    let asked = 0
    const key = {
      publicKey,
      sign: (bytes: Uint8Array) => {
        asked++
        return ill ? sick(bytes) : good(bytes)
      },
    }
    const log = await openLog({ dir, instance: 'a', key, segment: { maxBytes: 3000 } }, { clock })
    const before = asked
    ill = true
    for (let round = 0; round < 5; round++) {
      await log.sink.durable('traffic', log.write('traffic', 50))
      await until(() => {
        clock.advance(1000)
        return asked > before + round
      })
    }
    await until(() => {
      clock.advance(1000)
      return log.told.length > 0
    })
    expect(log.sink.fault('traffic')).toBeUndefined()
    expect(sizeOf(dir, 'traffic')).toBe(0)
    expect(log.told).toEqual(['checkpoints cannot be signed, and lines go on without'])
    const lag = log.notices.filter(({ event }) => event === 'audit.sink_changed')
    expect(lag).toMatchObject([{ log: 'control', facts: { sink: 'file', from: 'ok', to: 'unsigned' } }])
    ill = false
    await until(() => {
      clock.advance(5000)
      return sizeOf(dir, 'traffic') === 250
    })
    expect(log.told[1]).toBe('checkpoints can be signed again')
    expect(log.notices.at(-1)).toMatchObject({ event: 'audit.sink_changed', facts: { to: 'ok' } })
    await log.close()
    const again = await openLog({ dir, instance: 'a', key })
    expect(again.opened.heads.traffic.next).toBe(250)
    expect(again.notices).toEqual([])
    await again.close()
  })

  it('fails at the end keeps close for one more try, not for the whole deadline', async () => {
    const dir = tempFolder()
    let ill = false
    const key = { publicKey, sign: (bytes: Uint8Array) => (ill ? Promise.reject(new Error('gone')) : good(bytes)) }
    const log = await written(dir, { key })
    await log.sink.durable('traffic', 9)
    ill = true
    expect(await log.sink.close(3_600_000)).toEqual({ unwritten: 0 })
    await log.sink.release()
    ill = false
    const again = await openLog({ dir, instance: 'a', key })
    expect(again.opened.heads.traffic.next).toBe(10)
    await again.close()
    expect(sizeOf(dir, 'traffic')).toBe(10)
  })
})

describe('rotateKey', () => {
  it('makes a new key beside the log, which the old one names in each log', async () => {
    const dir = tempFolder()
    const log = await written(dir)
    const first = vkeyOf(dir)
    const one = await log.sink.rotateKey!()
    expect(one.from).toBe(first)
    expect(vkeyOf(dir)).toBe(one.to)
    log.write('traffic', 10)
    const two = await log.sink.rotateKey!()
    expect(two.from).toBe(one.to)
    log.write('traffic', 10)
    await log.close()
    for (const name of logs) {
      expect(follow(dir, name, first)).toEqual({ vkey: two.to, steps: ['requested', 'requested'] })
    }
    const again = await written(dir)
    expect(again.notices).toEqual([])
    await again.close()
    expect(existsSync(join(dir, 'a', 'key.next'))).toBe(false)
    expect(follow(dir, 'control', first).vkey).toBe(two.to)
  })

  it('goes on with lines while they are handed over', async () => {
    const dir = tempFolder()
    const log = await written(dir, { segment: { maxBytes: 2000 }, checkpoint: { lines: 7 } })
    const first = vkeyOf(dir)
    let done = 0
    const rotated = Promise.all(Array.from({ length: 5 }, () => log.sink.rotateKey!().then(() => done++)))
    while (done < 5) await log.sink.durable('traffic', log.write('traffic', 20))
    await rotated
    await log.close()
    expect(follow(dir, 'traffic', first).steps).toHaveLength(5)
    expect(lines(dir, 'traffic').map(({ audit }) => audit.index)).toEqual(lines(dir, 'traffic').map((_, i) => i))
  })

  it('takes what stands in the file of the key, and refuses what is in use', async () => {
    const dir = tempFolder()
    const file = join(tempFolder(), 'signing.pem')
    writeFileSync(file, pem(pair().privateKey))
    const log = await written(dir, { key: { file } })
    const first = vkeyOf(dir)
    await expect(log.sink.rotateKey!()).rejects.toMatchObject({ code: 'config-invalid' })
    writeFileSync(file, pem(pair().privateKey))
    const { to } = await log.sink.rotateKey!()
    log.write('traffic', 1)
    await log.close()
    expect(follow(dir, 'traffic', first)).toEqual({ vkey: to, steps: ['requested'] })
    const again = await openLog({ dir, instance: 'a', key: { file } })
    expect(again.notices).toEqual([])
    await again.close()
  })

  it('is refused where a function signs, and before and after the sink is open', async () => {
    const { privateKey, publicKey } = pair()
    const key = { publicKey, sign: (bytes: Uint8Array) => sign(null, bytes, privateKey) }
    const log = await openLog({ dir: tempFolder(), key })
    await expect(log.sink.rotateKey!()).rejects.toMatchObject({ code: 'config-invalid' })
    await log.close()
    await expect(log.sink.rotateKey!()).rejects.toMatchObject({ code: 'closed' })
  })

  it('through a trail', async () => {
    const dir = tempFolder()
    const sink = fileSink({ dir, instance: 'a' })
    const audit = createAudit({ service: 'shop', sinks: [sink] })
    await audit.ready()
    const first = vkeyOf(dir)
    audit.record('app.x', { i: 1 })
    const { to } = await sink.rotateKey!()
    audit.record('app.x', { i: 2 })
    await audit.close()
    expect(follow(dir, 'traffic', first).vkey).toBe(to)
  })

  it('says in each log who wanted it and what for, as far as that was given', async () => {
    const dir = tempFolder()
    const audit = createAudit({ service: 'shop', sinks: [fileSink({ dir, instance: 'a' })] })
    await audit.ready()
    await expect(audit.rotateKey({ by: '' })).rejects.toMatchObject({ problems: [{ path: 'by' }] })
    await expect(audit.rotateKey({ reason: 'x'.repeat(1025) })).rejects.toMatchObject({ code: 'config-invalid' })
    await expect(audit.rotateKey({ who: 'x' } as never)).rejects.toMatchObject({ code: 'config-invalid' })
    await audit.rotateKey({ by: 'CORP\\alice', reason: 'leak \u202e of a backup' })
    await audit.rotateKey({ by: 'bob' })
    await audit.rotateKey()
    await audit.close()
    for (const name of logs) {
      const events = lines(dir, name).filter(({ event_name }) => event_name === 'audit.key_rotated')
      for (const event of events) expect(schemaFaults('audit.key_rotated', event)).toBeUndefined()
      expect(events.map(({ log: { reason, by, message } }) => [reason, by, message])).toEqual([
        ['requested', 'CORP\\alice', 'leak \\u{202e} of a backup'],
        ['requested', 'bob', undefined],
        ['requested', undefined, undefined],
      ])
    }
  })

  it('through a trail whose listener records what it hears of', async () => {
    const dir = tempFolder()
    const open = () => {
      const sink = fileSink({ dir, instance: 'a' })
      return { sink, audit: createAudit({ service: 'shop', sinks: [sink] }) }
    }
    const { sink, audit } = open()
    await audit.ready()
    const first = vkeyOf(dir)
    // Enough for a write to begin with it.
    const heard = { text: Array.from({ length: 60 }, () => 'x'.repeat(1000)) }
    audit.on('audit.key_rotated', () => {
      for (let i = 0; i < 6; i++) audit.record('app.heard', heard)
    })
    const { to } = await sink.rotateKey!()
    await audit.close()
    expect(follow(dir, 'traffic', first)).toEqual({ vkey: to, steps: ['requested'] })
    const again = open()
    await again.audit.ready()
    await again.audit.close()
    expect(lines(dir, 'control').filter(({ event_name }) => event_name === 'audit.recovered')).toEqual([])
  })
})

describe('another key at the start', () => {
  it('is named by the old one beside the log, which then goes', async () => {
    const dir = tempFolder()
    await (await written(dir)).close()
    const [first, origin] = [vkeyOf(dir), parseCheckpoint(noteOf(dir, 'traffic').toString())!.origin]
    const file = join(tempFolder(), 'signing.pem')
    writeFileSync(file, pem(pair().privateKey))
    const log = await written(dir, { key: { file } })
    await until(() => vkeyOf(dir) !== first)
    log.write('traffic', 1)
    await log.close()
    expect(follow(dir, 'traffic', first)).toEqual({ vkey: vkeyOf(dir), steps: ['start'] })
    expect(log.opened.heads.traffic.origin).toBe(origin)
    expect(readdirSync(join(dir, 'a')).filter((name) => name.startsWith('key'))).toEqual([])
  })

  it('that the old one cannot name any more begins new logs', async () => {
    const dir = tempFolder()
    await (await written(dir)).close()
    rmSync(join(dir, 'a', 'key'))
    const log = await written(dir)
    expect(log.notices.map(({ event, facts }) => [event, facts.reason])).toEqual(
      logs.map(() => ['audit.recovered', expect.stringContaining('another key is in use: shop/a+')]),
    )
    await log.close()
  })
})

describe('a key that certifies', () => {
  const { privateKey, publicKey } = pair()
  const certifying = (ill?: () => boolean) => {
    let asked = 0
    const sign_ = async (bytes: Uint8Array) => {
      asked++
      if (ill?.()) throw new Error('no such KMS')
      return sign(null, bytes, privateKey)
    }
    return { key: { publicKey, sign: sign_, certify: true }, asked: () => asked }
  }

  it('signs once for each log at each start, and a key of that start signs the rest', async () => {
    const dir = tempFolder()
    const { key, asked } = certifying()
    let root = ''
    const seen = new Set<string>()
    for (let start = 0; start < 3; start++) {
      const before = asked()
      const log = await openLog({ dir, instance: 'a', key })
      if (start === 0) root = vkeyOf(dir)
      await until(() => vkeyOf(dir) !== root && !seen.has(vkeyOf(dir)))
      seen.add(vkeyOf(dir))
      for (let round = 0; round < 5; round++) log.write('traffic', 10)
      await log.close()
      // The first checkpoint of each new log too.
      expect(asked() - before).toBe(start === 0 ? 6 : 3)
      expect(log.notices.filter(({ event }) => event === 'audit.recovered')).toEqual([])
    }
    expect(parseVkey(root).key.equals(publicKey)).toBe(true)
    expect(follow(dir, 'traffic', root)).toEqual({ vkey: vkeyOf(dir), steps: ['boot', 'boot', 'boot'] })
    expect(seen.size).toBe(3)
  })

  it('that is away keeps checkpoints back, not lines', async () => {
    const dir = tempFolder()
    let ill = false
    const { key } = certifying(() => ill)
    const one = await openLog({ dir, instance: 'a', key })
    await until(() => rotations(dir, 'control').length === 1)
    await one.close()
    ill = true
    const clock = fakeClock()
    const log = await openLog({ dir, instance: 'a', key }, { clock })
    await until(() => log.notices.some(({ event }) => event === 'audit.key_rotated'))
    await log.sink.durable('traffic', log.write('traffic', 100))
    await until(() => log.told.length === 1)
    expect(sizeOf(dir, 'traffic')).toBe(1)
    ill = false
    await until(() => {
      clock.advance(1000)
      return sizeOf(dir, 'traffic') === 102
    })
    await until(() => {
      clock.advance(10)
      return rotations(dir, 'control').length === 2
    })
    await log.close()
    expect(follow(dir, 'traffic', one.opened.vkey!).steps).toEqual(['boot', 'boot'])
  })

  it('goes on after starts that were broken off, wherever they were', async () => {
    const dir = tempFolder()
    const { key } = certifying()
    const origins = new Set<string>()
    for (let round = 0; round < 12; round++) {
      const log = await openLog({ dir, instance: 'a', key })
      origins.add(log.opened.heads.traffic.origin)
      log.write('control', 1)
      for (let turn = 0; turn < 4 * round; turn++) await new Promise(setImmediate)
      await log.close()
    }
    expect(origins.size).toBe(1)
  })

  it('follows one beside the log, and makes another key of this start on request', async () => {
    const dir = tempFolder()
    await (await written(dir)).close()
    const first = vkeyOf(dir)
    const log = await openLog({ dir, instance: 'a', key: certifying().key })
    const { to } = await log.sink.rotateKey!()
    log.write('traffic', 1)
    await log.close()
    expect(vkeyOf(dir)).toBe(to)
    expect(follow(dir, 'traffic', first)).toEqual({ vkey: to, steps: ['start', 'boot', 'requested'] })
  })
})

describe('a crash while one key hands on to the next', () => {
  it('leaves what goes on, whatever of it is done', async () => {
    const dir = tempFolder()
    await (await written(dir)).close()
    const first = vkeyOf(dir)
    // The state before, and the files that the change makes, in their order.
    const before = tempFolder()
    cpSync(join(dir, 'a'), join(before, 'a'), { recursive: true })
    const oldKey = readFileSync(join(dir, 'a', 'key'))
    const log = await openLog({ dir, instance: 'a' })
    await log.sink.rotateKey!()
    await log.close()
    const newKey = readFileSync(join(dir, 'a', 'key'))
    const newVkey = readFileSync(join(dir, 'a', 'vkey'))
    const steps: ((to: string) => void)[] = [
      (to) => writeFileSync(join(to, 'a', 'key.next'), newKey),
      ...logs.flatMap((name) => {
        const at = (root: string, file: string) => join(root, 'a', name, file)
        const [segment] = readdirSync(at(dir, 'segments'))
        return [
          (to: string) => copyFileSync(at(dir, `segments/${segment}`), at(to, `segments/${segment}`)),
          (to: string) => cpSync(at(dir, 'keys'), at(to, 'keys'), { recursive: true }),
          (to: string) => copyFileSync(at(dir, 'checkpoint'), at(to, 'checkpoint')),
        ]
      }),
      (to) => renameSync(join(to, 'a', 'key.next'), join(to, 'a', 'key')),
      (to) => writeFileSync(join(to, 'a', 'vkey'), newVkey),
    ]
    for (let n = 0; n <= 2 * steps.length + 1; n++) {
      const [done, more] = [n >> 1, n & 1]
      const crashed = tempFolder()
      cpSync(join(before, 'a'), join(crashed, 'a'), { recursive: true })
      expect(readFileSync(join(crashed, 'a', 'key'))).toEqual(oldKey)
      for (const step of steps.slice(0, done)) step(crashed)
      const again = await openLog({ dir: crashed, instance: 'a' })
      const told = again.notices.filter(({ event }) => event === 'audit.recovered').map(({ facts }) => facts)
      expect(told.filter((facts) => 'aside' in facts)).toEqual([])
      if (done > 0) await until(() => vkeyOf(crashed) === newVkey.toString().trim())
      // Where no line comes the next key must have signed too, for the old one is gone.
      for (const name of logs) again.write(name as 'traffic', more)
      await again.close()
      const last = done > 0 ? newVkey.toString().trim() : first
      for (const name of logs) {
        expect(follow(crashed, name, first).vkey).toBe(last)
        expect(openNote(readFileSync(join(crashed, 'a', name, 'checkpoint')), [parseVkey(last)])).toHaveProperty('text')
      }
      expect(existsSync(join(crashed, 'a', 'key.next'))).toBe(false)
    }
  })
})
