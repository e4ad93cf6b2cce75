// A stream is held against what was seen of its logs from outside.
import { describe, expect, it } from 'vitest'
import { type VerifyStreamOptions, verifyStream } from '../../src/log/verify-stream.ts'
import { seededRandom } from '../../src/random.ts'
import { newSigner } from '../support/hand-log.ts'
import { StreamSource } from '../support/stream.ts'

const signer = newSigner('shop/a')
const { vkey } = signer
const source = (log = 'traffic', id = '01') => new StreamSource(`shop/a/${log}/${id}`, signer)
const noteIn = (checkpoint: string): string => JSON.parse(checkpoint).checkpoint.note as string

const verified = (lines: readonly string[], options: VerifyStreamOptions) => keyless(lines, { vkey, ...options })

async function keyless(lines: readonly string[], options: VerifyStreamOptions) {
  const report = await verifyStream([`${lines.join('\n')}\n`], options)
  const problems = [...report.logs.flatMap((one) => one.problems), ...report.problems]
  return { ...report, log: report.logs[0]!, facts: problems.map(({ fact }) => fact) }
}

/** Lines with a checkpoint behind each ten, and the notes of all sizes. */
function tens(of: StreamSource, count: number): { lines: string[]; notes: string[] } {
  const lines: string[] = []
  const notes = [noteIn(of.checkpoint())]
  for (let i = 0; i < count; i++) {
    lines.push(of.line())
    const checkpoint = of.checkpoint()
    notes.push(noteIn(checkpoint))
    if (i % 10 === 9) lines.push(checkpoint)
  }
  return { lines, notes }
}
const isCheckpoint = (line: string): boolean => line.startsWith('{"checkpoint"')
const { lines, notes } = tens(source(), 40)
const given = 'the given checkpoint'

describe('a stream', () => {
  it('holds against every checkpoint of it, between those that are in it too', async () => {
    const { ok, authenticated, log } = await verified(lines, { checkpoints: notes.join('') })
    expect({ ok, authenticated }).toEqual({ ok: true, authenticated: true })
    expect(log).toMatchObject({ pinned: 40, checked: 40, unsigned: 0 })
    const between = await verified([...lines, ...tens(source(), 45).lines.slice(-5)], { checkpoints: notes[13]! })
    expect(between.log).toMatchObject({ pinned: 13, checked: 40, unsigned: 5 })
  })

  it('without its later checkpoints counts lines as unsigned that no kept one covers', async () => {
    const cut = lines.filter((line, i) => i < 11 || !isCheckpoint(line))
    expect(await verified(cut, {})).toMatchObject({ ok: true, log: { checked: 10, unsigned: 30 } })
    expect(await verified(cut, { checkpoints: notes[35]! })).toMatchObject({
      ok: true,
      log: { pinned: 35, checked: 35, checkedThrough: 35, unsigned: 5 },
    })
    const forged = cut.with(30, cut[30]!.replace('request', 'rekwest'))
    expect((await verified(forged, {})).ok).toBe(true)
    expect((await verified(forged, { checkpoints: notes[35]! })).facts).toEqual([
      `its first 35 lines are not those that ${given} has seen`,
    ])
  })

  it('that ends before what was seen is told', async () => {
    for (const cut of [lines.slice(0, 22), lines.slice(0, 22).filter((line) => !isCheckpoint(line))]) {
      const { facts, log } = await keyless(cut, { checkpoints: notes.slice(10).join('') })
      expect(facts).toEqual([`the stream ends before line 20, and ${given} has seen 40 lines: its end was taken out`])
      expect(log.problems[0]!.index).toBe(20)
    }
  })

  it('that is another history under the same key is told', async () => {
    const other = source()
    const all = [...other.lines(10), other.checkpoint(), ...other.lines(30, { text: 'other' }), other.checkpoint()]
    expect((await verified(all, {})).ok).toBe(true)
    const { facts, log } = await verified(all, { checkpoints: `${notes[10]}${notes[20]}` })
    expect(facts).toEqual([`its first 20 lines are not those that ${given} has seen`])
    expect(log.pinned).toBe(10)
  })

  it('that begins in the middle holds against what was seen behind its first checkpoint', async () => {
    const middle = lines.slice(15)
    expect(await verified(middle, { checkpoints: notes.slice(1).join('') })).toMatchObject({
      ok: true,
      log: { pinned: 40, begun: 20 },
    })
    for (const size of [5, 14, 17])
      expect((await verified(middle, { checkpoints: notes[size]! })).facts).toEqual([
        `nothing in the stream can be held against the first ${size} lines, which ${given} has seen: lines before are not here`,
      ])
    const bare = middle.filter((line) => !isCheckpoint(line))
    expect((await keyless(bare, { checkpoints: notes[30]! })).ok).toBe(false)
  })

  it('without a log that was seen is told, also where it is all', async () => {
    const seen = (origin: string) => ({ [origin]: { size: 1, root: notes[1]!.split('\n')[2] } })
    const roster = JSON.stringify({ origins: { ...seen('shop/a/control/01'), ...seen('shop/z/traffic/01') } })
    const { ok, facts, elsewhere } = await verified(lines, { roster })
    expect({ ok, elsewhere }).toEqual({ ok: false, elsewhere: ['shop/z/traffic/01'] })
    expect(facts).toEqual(['the roster has seen shop/a/control/01, and there is no such log: it was replaced or lost'])
    const none = await keyless(['hello'], { roster })
    expect(none.facts).toHaveLength(2)
    const away = await verified(lines, { checkpoints: noteIn(source('traffic', '02').checkpoint()) })
    expect(away.facts).toEqual([
      `${given} has seen shop/a/traffic/02, and there is no such log: it was replaced or lost`,
    ])
  })

  it('whose log is not begun holds against that', async () => {
    expect(await verified(lines, { checkpoints: notes[0]! })).toMatchObject({ ok: true, log: { pinned: 0 } })
    const empty = source('control')
    const checkpoint = empty.checkpoint()
    expect((await verified([...lines, checkpoint], { checkpoints: noteIn(checkpoint) })).ok).toBe(true)
  })

  it('is longer than what is remembered of it', async () => {
    const of = source()
    const begin = of.lines(20_000)
    const seen = noteIn(of.checkpoint())
    const { ok, log } = await keyless([...begin, ...of.lines(40_000)], { checkpoints: seen })
    expect(ok).toBe(true)
    expect(log).toMatchObject({ pinned: 20_000, unsigned: 40_000 })
  })
})

it.each(['{', '{"origins":[]}'])('a roster that is none is unusable: %s', async (roster) => {
  await expect(verifyStream(lines, { roster })).rejects.toMatchObject({ code: 'log-invalid' })
})

it('whatever is taken out or changed below what was seen, and without any checkpoint in the stream, it does not hold', async () => {
  const bare = lines.filter((line) => !isCheckpoint(line))
  const random = seededRandom(7)
  const below = (bound: number) => random.uint32() % bound
  for (let run = 0; run < 200; run++) {
    const size = 1 + below(40)
    const at = below(size)
    const bytes = Buffer.from(bare[at]!)
    bytes[below(bytes.length)]! ^= 1 + below(255)
    const changed = run % 2 === 0 ? bare.toSpliced(at, 1 + below(40)) : bare.with(at, bytes.toString('latin1'))
    const { ok } = await keyless(changed, { checkpoints: notes[size]! })
    expect([run, ok]).toEqual([run, false])
  }
})
