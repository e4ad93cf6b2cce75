// A stream of lines and checkpoints is held against its own checkpoints, wherever it begins.
import { createHash, createPublicKey } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonical } from '../../src/canonical.ts'
import { type VerifyStreamOptions, verifyStream } from '../../src/log/verify-stream.ts'
import { seededRandom } from '../../src/random.ts'
import { newSigner } from '../support/hand-log.ts'
import { chunksOf, StreamSource } from '../support/stream.ts'

const signer = newSigner('shop/a')
const { vkey } = signer
const originOf = (log: string) => `shop/a/${log}/0123456789abcdef`
const source = (log = 'traffic') => new StreamSource(originOf(log), signer)

async function verified(lines: readonly string[], options: VerifyStreamOptions = { vkey }) {
  const report = await verifyStream([`${lines.join('\n')}\n`], options)
  return { ...report, log: report.logs[0]!, facts: report.logs.flatMap((one) => one.problems.map(({ fact }) => fact)) }
}

/** Lines in tens, each with a checkpoint behind. */
function tens(of: StreamSource, count: number): string[] {
  return Array.from({ length: count }, () => [...of.lines(10), of.checkpoint()]).flat()
}

/** The key of a witness (C2SP tlog-cosignature). */
function witnessKey(): string {
  const { key } = newSigner('witness.example/w')
  const raw = Buffer.concat([Buffer.of(4), createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32)])
  const id = createHash('sha256').update('witness.example/w\n').update(raw).digest('hex').slice(0, 8)
  return `witness.example/w+${id}+${raw.toString('base64')}`
}

it('does not hold for the key of a witness, who signs nothing in a stream', async () => {
  const lines = tens(source(), 1).join('\n')
  for (const [text, keys] of [
    ['', witnessKey()],
    ['hello\n', witnessKey()],
    [lines, witnessKey()],
    [lines, `${vkey}\n${witnessKey()}`],
  ] as const) {
    const report = await verifyStream([text], { vkey: keys })
    expect(report).toMatchObject({ ok: false, authenticated: false })
    expect(report.problems.map(({ fact }) => fact)).toEqual([expect.stringMatching(/witness\.example.*signed nothing/)])
  }
})

describe('a whole stream', () => {
  it('holds, with what others wrote passed over, and tells what is not yet signed', async () => {
    const [traffic, control] = [source(), source('control')]
    const lines = [
      'listening on 8080',
      '{"level":30,"msg":"up"}',
      traffic.checkpoint(),
      ...traffic.lines(5),
      control.line(),
      '',
      traffic.checkpoint(),
      control.line(),
      control.checkpoint(),
      ...traffic.lines(2),
      '{"audit":"none"}',
    ]
    const { ok, authenticated, logs, others } = await verified(lines)
    expect({ ok, authenticated, others }).toEqual({ ok: true, authenticated: true, others: 4 })
    expect(logs).toMatchObject([
      {
        origin: originOf('traffic'),
        lines: 7,
        first: 0,
        last: 6,
        checked: 5,
        checkedThrough: 5,
        unsigned: 2,
        unchecked: 0,
      },
      { origin: originOf('control'), lines: 2, checked: 2, unsigned: 0, signedBy: 'shop/a' },
    ])
  })

  it('that is cut off within its last line holds, and tells it', async () => {
    const lines = tens(source(), 2)
    const text = lines.join('\n')
    for (const cut of [40, 200])
      expect(await verifyStream([text.slice(0, -cut)], { vkey })).toMatchObject({ ok: true, incomplete: 1 })
  })

  it.each([
    ['a first line', (lines: string[]) => (lines[0] = lines[0]!.slice(0, -1))],
    [
      'a first line whose place is none',
      (lines: string[]) => (lines[0] = lines[0]!.replace('"index":0', '"index":-1')),
    ],
    ['two lines in one', (lines: string[]) => (lines[0] = `${lines[0]}${lines[0]}`)],
    ['a checkpoint', (lines: string[]) => (lines[10] = lines[10]!.replace('"size"', '"sise"'))],
    ['a checkpoint that is cut', (lines: string[]) => (lines[21] = lines[21]!.slice(0, 60))],
    [
      'a part',
      (lines: string[]) => lines.splice(3, 0, '{"chunk":{"of":"shop/a/traffic/1/3","part":0,"parts":2,"text":"'),
    ],
  ])('with %s that is damaged does not hold, and tells which', async (_, damage) => {
    const lines = tens(source(), 2)
    damage(lines)
    const { ok, problems } = await verified(lines)
    expect({ ok, problems }).toMatchObject({
      ok: false,
      problems: [{ file: '-', fact: 'a line of a log, and damaged' }],
    })
  })

  it('without a key from outside is self-consistent only', async () => {
    expect(await verified(tens(source(), 3), {})).toMatchObject({ ok: true, authenticated: false })
  })

  it('is the same in whatever pieces it comes', async () => {
    const text = Buffer.from(`${tens(source(), 5).join('\n')}\nGrüße`)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }), async (sizes) => {
        const pieces: Buffer[] = []
        for (let at = 0, i = 0; at < text.length; i++) {
          const size = sizes[i % sizes.length]!
          pieces.push(text.subarray(at, at + size))
          at += size
        }
        expect(await verifyStream(pieces, { vkey })).toMatchObject({ ok: true, others: 1, logs: [{ checked: 50 }] })
      }),
      { numRuns: 30 },
    )
  })

  it('may bring lines and checkpoints again, and checkpoints before their lines or after later ones', async () => {
    const of = source()
    const first = [...of.lines(10)]
    const one = of.checkpoint()
    const second = [...of.lines(10)]
    const two = of.checkpoint()
    const { ok, log } = await verified([one, ...first, ...first.slice(4), ...second, two, one, two, ...second.slice(3)])
    expect(ok).toBe(true)
    expect(log).toMatchObject({ lines: 20, checked: 20, repeated: 13, unsigned: 0 })
  })

  it('is longer than what is remembered of it', async () => {
    const of = source()
    const all = [...of.lines(40_000), of.checkpoint(), ...of.lines(40_000), of.checkpoint(), ...of.lines(5)]
    const { ok, log } = await verified(all)
    expect(ok).toBe(true)
    expect(log).toMatchObject({ lines: 80_005, checked: 80_000, unsigned: 5 })
    expect((await verified([...all, all[3]!])).log.problems).toEqual([
      { file: '-', line: all.length + 1, index: 3, fact: 'the line comes long after those that follow it' },
    ])
  })

  it('with nothing of a log in it is unusable', async () => {
    await expect(verifyStream(['hello\n'])).rejects.toMatchObject({ code: 'log-invalid' })
    await expect(verifyStream([], { vkey: 'x' })).rejects.toMatchObject({ code: 'log-invalid' })
  })
})

describe('a stream that begins in the middle', () => {
  it('is checked from its first checkpoint on, and says so', async () => {
    const all = tens(source(), 6)
    for (const from of [1, 5, 10, 11, 17, 54]) {
      const part = all.slice(from)
      const { ok, log } = await verified(part)
      const lines = part.filter((line) => !line.startsWith('{"checkpoint"')).length
      expect(ok).toBe(true)
      expect(log.checked + log.unchecked).toBe(lines)
      expect(log.unchecked).toBeLessThanOrEqual(10)
      expect(log.begun).toBe(60 - log.checked)
      const at = part.findIndex((line) => line.includes('"index":59,'))
      if (log.checked > 0) {
        const forged = part.with(at, part[at]!.replace('request.completed', 'request.forgotten'))
        expect((await verified(forged)).facts).toEqual(['lines 50 to 59 are not those that were signed'])
      }
    }
  })

  it('and whose checkpoints have no edge can be held against nothing', async () => {
    const of = source()
    of.lines(10)
    const bare = () => of.checkpoint({ edge: undefined })
    const { ok, log } = await verified([...of.lines(5), bare(), ...of.lines(5), bare()])
    expect(ok).toBe(true)
    expect(log).toMatchObject({ lines: 10, checked: 0, unchecked: 10, unsigned: 0 })
  })

  it('does not believe an edge that does not yield the signed root', async () => {
    const of = source()
    of.lines(10)
    const lines = of.lines(5)
    const edge = Array.from({ length: 4 }, () => Buffer.alloc(32).toString('base64'))
    expect((await verified([...lines, of.checkpoint({ edge })])).facts).toEqual([
      'the edge of the checkpoint does not yield its root',
    ])
  })
})

describe('what was done to a stream is told', () => {
  const all = tens(source(), 4)
  const at = (index: number) => all.findIndex((line) => line.includes(`"index":${index},`))

  it.each([
    ['a line that is gone', () => all.toSpliced(at(15), 1), ['the line is missing']],
    ['some that are', () => all.toSpliced(at(15), 3), ['lines 15 to 17 are missing']],
    ['the end, which a checkpoint covers', () => all.toSpliced(at(38), 2), ['lines 38 to 39 are missing']],
    [
      'a line that is another',
      () => all.with(at(25), all[at(25)]!.replace('request', 'rekwest')),
      ['lines 20 to 29 are not those that were signed'],
    ],
    [
      'another line under an index',
      () => all.toSpliced(at(30), 0, all[at(25)]!.replace('request', 'rekwest')),
      ['the line comes again, and is another one'],
    ],
    [
      'lines that change places',
      () => all.toSpliced(at(15), 2, all[at(16)]!, all[at(15)]!),
      ['the line stands behind line 16'],
    ],
    [
      'a root that was not signed',
      () => all.with(21, all[21]!.replace(/\\n(.)[^\\]{42}=\\n\\n/, `\\n${'A'.repeat(43)}=\\n\\n`)),
      ['the checkpoint is not valid: the signature of shop/a is wrong'],
    ],
    [
      'a checkpoint that says another size',
      () => all.with(21, all[21]!.replace('"size":20', '"size":19')),
      [`the checkpoint is not valid: it is not one of ${originOf('traffic')} at 19 lines`],
    ],
  ])('%s', async (_, damaged, facts) => {
    const report = await verified(damaged())
    expect(report.ok).toBe(false)
    expect(report.facts).toEqual(facts)
  })

  it('also when it is another history under the same key', async () => {
    const [one, other] = [source(), source()]
    const lines = [...one.lines(10), one.checkpoint()]
    other.lines(10, { text: 'other' })
    const { ok, facts } = await verified([...lines, other.checkpoint()])
    expect(ok).toBe(false)
    expect(facts).toEqual(['the first 10 lines are not those that were signed'])
  })

  it('and what follows is checked again', async () => {
    const { log } = await verified(all.with(at(15), all[at(15)]!.replace('request', 'rekwest')))
    expect(log).toMatchObject({ lines: 40, checked: 30, problemCount: 1 })
    expect((await verified(all.toSpliced(at(15), 1))).log).toMatchObject({ lines: 39, checked: 30, unchecked: 9 })
  })
})

describe('lines that were not delivered', () => {
  const gap = (first: number, last: number, sink?: string) => ({
    event_name: 'audit.gap',
    log: {
      count: last - first + 1,
      first,
      last,
      origin: originOf('traffic'),
      reason: 'backlog',
      ...(sink ? { sink } : {}),
    },
  })

  function withGap(sink?: string): { of: StreamSource; lines: string[] } {
    const of = source()
    const lines = [...of.lines(10), of.checkpoint(), of.hashes(5), of.line(gap(10, 14, sink)), ...of.lines(3)]
    return { of, lines }
  }

  it.each([undefined, 'stdout'])('are no problem if a line that is checked tells it of %s', async (sink) => {
    const { of, lines } = withGap(sink)
    lines.push(of.checkpoint(), ...of.lines(2), of.checkpoint())
    const { ok, log } = await verified(lines)
    expect(ok).toBe(true)
    expect(log).toMatchObject({ told: 5, lines: 16, unchecked: 0, checked: 16, unsigned: 0 })
  })

  it('are no problem either if that line comes behind the next checkpoint', async () => {
    const of = source()
    const lines = [...of.lines(10), of.checkpoint()]
    of.lines(5)
    lines.push(...of.lines(3), of.checkpoint(), of.line(gap(10, 14)), of.checkpoint())
    expect(await verified(lines)).toMatchObject({ ok: true, log: { told: 5, unchecked: 3, checked: 11 } })
  })

  it('are one if nothing signed covers the line that tells it', async () => {
    const forged = [...tens(source(), 4)]
    const at = forged.findIndex((line) => line.includes('"index":25,'))
    const line = JSON.parse(forged[at + 1]!)
    forged.splice(at, 2, canonical({ ...line, ...gap(25, 25) }))
    const fact = 'the line is missing: line 26 tells so, and nothing signed covers that line'
    expect((await verified(forged)).facts).toEqual([fact])
    // Whoever puts the hash there has the line that stood behind it changed all the same.
    const hashes = (() => {
      const of = source()
      of.lines(25)
      return of.hashes(1)
    })()
    const { ok, facts } = await verified(forged.toSpliced(at, 0, hashes))
    expect(ok).toBe(false)
    expect(facts).toEqual(['lines 20 to 29 are not those that were signed', fact])
  })

  it('are one, with the hash or without it, where no line tells it', async () => {
    const of = source()
    const lines = [...of.lines(10), of.hashes(3), ...of.lines(3), of.checkpoint()]
    expect(await verified(lines)).toMatchObject({
      ok: false,
      facts: ['lines 10 to 12 are missing'],
      log: { checked: 13 },
    })
    const { facts } = await verified([...lines, lines[10]!.replace('"first":10', '"first":9')])
    expect(facts[0]).toBe('the hash is not that of the line')
  })

  it('are one if it tells it of another sink, or is not signed, or not of all of them', async () => {
    const other = withGap('http')
    expect(
      (await verified([...other.lines, other.of.checkpoint(), other.of.line(), other.of.checkpoint()])).facts,
    ).toEqual(['lines 10 to 14 are missing'])
    expect((await verified(withGap('http').lines, { vkey, sink: 'http' })).facts).toEqual([
      'lines 10 to 14 are missing: line 15 tells so, and nothing signed covers that line',
    ])
    const of = source()
    const lines = [...of.lines(10), of.hashes(8), of.line(gap(12, 15)), of.checkpoint(), of.line(), of.checkpoint()]
    expect((await verified(lines)).facts).toEqual(['lines 10 to 11 are missing', 'lines 16 to 17 are missing'])
  })
})

describe('long lines in parts', () => {
  it('are put together, whatever comes between and again', async () => {
    const [of, other] = [source(), source('control')]
    const long = of.line({ text: 'ü'.repeat(30_000) })
    const parts = chunksOf(`${of.origin}/0`, long, 5)
    const mixed = [parts[0]!, other.line(), parts[1]!, parts[0]!, ...parts.slice(1)]
    const { ok, others, logs } = await verified([...mixed, of.line(), of.checkpoint(), other.checkpoint()])
    expect({ ok, others }).toEqual({ ok: true, others: 0 })
    expect(logs.map(({ checked }) => checked).sort()).toEqual([1, 2])
  })

  it('of which one is missing are told', async () => {
    const of = source()
    const parts = chunksOf(`${of.origin}/0`, of.line({ text: 'x'.repeat(20_000) }), 3)
    const lines = [...parts.slice(0, 2), of.line(), of.checkpoint(), of.line(), of.checkpoint()]
    expect(await verified(lines)).toMatchObject({
      ok: true,
      incomplete: 1,
      log: { first: 1, unchecked: 1, checked: 1 },
    })
  })

  it('that yield something else are told', async () => {
    const of = source()
    const report = await verified([...chunksOf(`${of.origin}/1`, of.line(), 2), of.line(), of.checkpoint()])
    expect(report.problems).toEqual([
      { file: '-', line: 2, fact: `the parts of ${of.origin}/1 do not yield that line` },
    ])
  })
})

describe('keys in a stream', () => {
  const [second, third] = [newSigner('shop/a'), newSigner('shop/a')]

  function rotated(): string[] {
    const of = source()
    const before = tens(of, 1)
    return [...before, ...of.rotate(second), ...tens(of, 1), ...of.rotate(third), ...tens(of, 1)]
  }

  it('lead from the one that was kept to those that replaced it', async () => {
    expect(await verified(rotated(), {})).toMatchObject({ ok: true, authenticated: false, log: { checked: 32 } })
    expect(await verified(rotated())).toMatchObject({ ok: true, authenticated: true, log: { checked: 32 } })
    // The newest alone has not signed what is before it; a stream that begins with it holds.
    expect((await verified(rotated(), { vkey: third.vkey })).ok).toBe(false)
    expect(await verified(rotated().slice(-11), { vkey: third.vkey })).toMatchObject({ ok: true, authenticated: false })
  })

  it('lead on where the stream begins with the line that names the next', async () => {
    for (let before = 1; before <= 16; before++) {
      const of = source()
      of.lines(before)
      const lines = [...of.rotate(second), ...of.lines(3), of.checkpoint()]
      expect(await verified(lines)).toMatchObject({ ok: true, authenticated: true, log: { unchecked: 1, checked: 3 } })
      const forged = lines.with(0, lines[0]!.replace('asked', 'other'))
      expect((await verified(forged)).facts).toEqual([
        `the checkpoint is not valid: it is not signed by a known key; line ${before} names its key, and nothing signed covers that line`,
      ])
    }
  })

  it.each(['before the first checkpoint', 'behind lines that are missing'])(
    'lead to nobody by a line that was put %s',
    async (where) => {
      const [of, forger] = [source(), source()]
      const lines = [...of.lines(20), of.checkpoint(), ...of.lines(5)]
      forger.lines(20)
      const forged = forger
        .rotate(second)[0]!
        .replace('"index":20,', where.startsWith('before') ? '"index":14,' : '"index":10,')
      const put = where.startsWith('before')
        ? [forged, ...lines.slice(15)]
        : [...lines.slice(0, 8), forged, ...lines.slice(11)]
      of.signer = second
      const { ok, facts } = await verified([...put, of.checkpoint()])
      expect(ok).toBe(false)
      expect(facts[0]).toMatch(
        /not signed by a known key; line 1[04] names its key, and nothing signed covers that line$/,
      )
    },
  )

  it('lead on by a line that was seen from outside', async () => {
    const of = source()
    const first = of.lines(5)
    const seen = [...first, of.rotate(second)[0]!]
    const note = JSON.parse(of.checkpoint()).checkpoint.note as string
    const lines = [...seen, ...of.lines(5), of.checkpoint()]
    expect((await verified(lines, { vkey: `${vkey}` })).ok).toBe(false)
    const report = await verified(lines, { vkey, checkpoints: note })
    expect(report.facts).toEqual([])
    expect(report.log).toMatchObject({ pinned: 6, checked: 11, signedBy: 'shop/a' })
  })

  it('lead to nobody by a line that no known key has signed', async () => {
    const forged = rotated().filter((line) => !line.includes(`\\n— shop/a`) || line.includes('"size":10,'))
    const of = source()
    of.lines(10)
    expect((await verified([...forged, newCheckpoint()])).facts).toContain(
      'the checkpoint is not valid: it is not signed by a known key; line 10 names its key, and nothing signed covers that line',
    )
    function newCheckpoint(): string {
      of.rotate(second)
      of.lines(21)
      return of.checkpoint()
    }
  })

  it('that are given and have signed nothing are told', async () => {
    const other = newSigner('shop/b')
    const report = await verified(tens(source(), 1), { vkey: `${vkey}\n${other.vkey}` })
    expect(report.problems).toEqual([
      { file: '-', fact: expect.stringMatching(/^the given key shop\/b\+\w{8} has signed nothing/) },
    ])
  })

  it('of another writer do not count', async () => {
    const of = new StreamSource(originOf('traffic'), newSigner('shop/b'))
    expect((await verified([...of.lines(3), of.checkpoint()], {})).facts[0]).toContain('it is not one of')
  })
})

it('whatever byte of a covered line is changed, and whatever line is taken out, it does not hold', async () => {
  const [traffic, control] = [source(), source('control')]
  const lines = [...tens(traffic, 3), ...tens(control, 2)]
  const random = seededRandom(11)
  for (let run = 0; run < 200; run++) {
    const which = random.uint32() % lines.length
    const bytes = Buffer.from(lines[which]!)
    const isCheckpoint = lines[which]!.startsWith('{"checkpoint"')
    if (run % 4 === 0 && !isCheckpoint) {
      // The first lines may be gone without a trace: then the stream begins later.
      const { ok, logs } = await verified(lines.toSpliced(which, 1))
      const starts = logs.some(({ first }) => first !== 0)
      expect(ok).toBe(starts)
      continue
    }
    if (isCheckpoint) continue
    bytes[random.uint32() % bytes.length]! ^= 1 + (random.uint32() % 255)
    const { ok, logs } = await verified(lines.with(which, bytes.toString('latin1')))
    const starts = logs.some(({ first }) => first !== 0)
    if (!starts) expect([which, ok]).toEqual([which, false])
  }
})
