// What is not in a stream that should be, as far as what is there tells it.
import { describe, expect, it } from 'vitest'
import type { StreamLogReport } from '../../src/log/stream-report.ts'
import { type VerifyStreamOptions, verifyStream } from '../../src/log/verify-stream.ts'
import { newSigner } from '../support/hand-log.ts'
import { StreamSource } from '../support/stream.ts'

const signer = newSigner('shop/a')
const { vkey } = signer
const source = (log = 'traffic') => new StreamSource(`shop/a/${log}/01`, signer)
const logOf = ({ origin }: StreamSource) => origin.split('/')[2]!

async function verified(lines: readonly string[], options: VerifyStreamOptions = { vkey }, end = '\n') {
  const report = await verifyStream([lines.map((line) => `${line}${end}`).join('')], options)
  const byName: Record<string, StreamLogReport> = Object.fromEntries(
    report.logs.map((log) => [log.origin.split('/')[2], log]),
  )
  const factsOf = (of: StreamSource) => byName[logOf(of)]!.problems.map(({ fact }) => fact)
  return { ...report, byName, factsOf, whole: report.problems.map(({ fact }) => fact) }
}

/** A log with lines that are signed, beside which others are looked at. */
function beside(): string[] {
  const of = source('control')
  return [...of.lines(3), of.checkpoint()]
}

describe('a log', () => {
  it('whose checkpoints were taken out makes the stream one that is not authenticated', async () => {
    const of = source()
    const lines = [...beside(), ...of.lines(20)]
    const { ok, authenticated, byName } = await verified(lines)
    expect({ ok, authenticated }).toEqual({ ok: true, authenticated: false })
    expect(byName.traffic).toMatchObject({ checked: 0, unsigned: 20, signedBy: undefined })
    expect(await verified([...lines, of.checkpoint()])).toMatchObject({ ok: true, authenticated: true })
  })

  it('that has checkpoints which check none of its lines is not authenticated', async () => {
    const of = source()
    of.lines(7)
    expect(await verified([...beside(), ...of.lines(1), of.checkpoint()])).toMatchObject({
      ok: true,
      authenticated: false,
    })
    const later = [...of.lines(1), of.checkpoint()]
    expect(await verified([...beside(), ...of.lines(1), of.checkpoint(), ...later])).toMatchObject({
      authenticated: false,
    })
  })

  it('that begins behind where the stream had come is one of which lines are missing', async () => {
    const of = source()
    of.lines(10)
    const checkpoint = of.checkpoint()
    const [reached, whole] = [of.checkpoint({ reached: 14 }), of.checkpoint({ reached: 15 })]
    of.lines(5)
    const rest = [...of.lines(5), of.checkpoint()]
    expect((await verified([checkpoint, ...rest])).factsOf(of)).toEqual(['lines 10 to 14 are missing'])
    expect((await verified([reached, ...rest])).factsOf(of)).toEqual(['the line is missing'])
    expect((await verified([whole, ...rest])).factsOf(of)).toEqual([])
  })

  it('may begin with a checkpoint that came behind later lines', async () => {
    const of = source()
    const all = [...of.lines(10)]
    const late = of.checkpoint({ reached: 13 })
    all.push(...of.lines(3), late, ...of.lines(4), of.checkpoint({ reached: 17 }), ...of.lines(2), of.checkpoint())
    for (let from = 0; from < all.length - 4; from++)
      expect([from, (await verified(all.slice(from))).ok]).toEqual([from, true])
  })

  it('of which two checkpoints came and no line between is one of which lines are missing', async () => {
    const of = source()
    of.lines(4)
    const first = of.checkpoint()
    of.lines(5)
    const { ok, factsOf } = await verified([...beside(), first, of.checkpoint(), of.checkpoint()])
    expect(ok).toBe(false)
    expect(factsOf(of)).toEqual(['lines 4 to 8 are missing'])
  })

  it('of which one checkpoint came, or several that tell the same, is no problem and not counted', async () => {
    const of = source()
    of.lines(4)
    const { ok, authenticated, byName } = await verified([...beside(), of.checkpoint(), of.checkpoint()])
    expect({ ok, authenticated }).toEqual({ ok: true, authenticated: true })
    expect(byName.traffic).toMatchObject({ lines: 0, covered: 4, signedBy: undefined })
  })
})

describe('a stream of checkpoints alone', () => {
  const of = source()
  of.lines(4)
  const fact = `the stream has checkpoints (${of.origin}: 4 lines) and no line of a log: nothing can be verified; its lines were taken out, or it must be read from further back`

  it('is unusable', async () => {
    await expect(verified(['hello', of.checkpoint()], {})).rejects.toMatchObject({
      code: 'log-invalid',
      message: expect.stringContaining(fact),
    })
  })

  it('does not hold where something tells what must be there', async () => {
    for (const given of [{ vkey }, { checkpoints: JSON.parse(of.checkpoint()).checkpoint.note as string }]) {
      const { ok, authenticated, whole } = await verified([of.checkpoint()], given)
      expect({ ok, authenticated, whole }).toEqual({ ok: false, authenticated: false, whole: [fact] })
    }
  })
})

describe('a stream that was converted', () => {
  it('so that all lines end with a carriage return says so', async () => {
    const { ok, whole } = await verified(beside(), { vkey }, '\r\n')
    expect(ok).toBe(false)
    expect(whole).toEqual([expect.stringMatching(/^all lines of logs end with a carriage return, .*docker run -t/)])
    const some = beside()
    expect((await verified(some.with(0, `${some[0]}\r`))).whole).toEqual([])
  })

  it('so that something stands before each line says what', async () => {
    const lines = ['web-1  | listening', ...beside().map((line) => `web-1  | ${line}`)]
    const hint =
      /^the stream has no line and no checkpoint of a log, but some behind a prefix \("web-1 {2}\| "\), .*--no-log-prefix/
    expect((await verified(lines)).whole).toContainEqual(expect.stringMatching(hint))
    await expect(verified(lines, {})).rejects.toThrow(/behind a prefix \("web-1 {2}\| "\)/)
    await expect(verified(['web-1  | {"level":30}'], {})).rejects.toThrow(/no checkpoint of a log$/)
  })
})

it('lines that change places are told as that, wherever', async () => {
  const of = source()
  const lines = of.lines(20)
  const { factsOf } = await verified([lines[0]!, lines[2]!, lines[3]!, lines[1]!, ...lines.slice(4), of.checkpoint()])
  expect(factsOf(of)).toEqual(['the line stands behind line 3'])
})
