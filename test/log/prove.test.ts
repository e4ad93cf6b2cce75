// The proof of a line holds for that line, wherever it has been since, and for nothing else.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signNote } from '../../src/log/note.ts'
import { proveLine } from '../../src/log/prove.ts'
import { saysJust } from '../../src/log/same-json.ts'
import { verifyProof } from '../../src/log/verify-proof.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'

const lines = 600
const signer = newSigner('shop/a')
const { vkey } = signer
let dir: string
let log: HandLog

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'auditlb-'))
  log = await HandLog.begin(join(dir, 'a'), 'traffic', signer)
  log.write(200, { text: 'Grüße \u{1f600}', 10: 'a', 9: 'b' })
  log.newSegment()
  log.write(400)
  await log.sign()
  log.write(1)
})
afterAll(() => rmSync(dir, { recursive: true }))

describe('a proof', () => {
  it('has the form of C2SP tlog-proof, and brings the line along', async () => {
    const text = await proveLine(dir, log.origin, 7)
    const [header, extra, index, ...rest] = text.split('\n')
    expect([header, index]).toEqual(['c2sp.org/tlog-proof@v1', 'index 7'])
    expect(Buffer.from(extra!.replace(/^extra /, ''), 'base64').toString()).toBe(log.lines[7])
    const end = rest.indexOf('')
    for (const hash of rest.slice(0, end)) expect(Buffer.from(hash, 'base64')).toHaveLength(32)
    expect(rest.slice(end + 1).join('\n')).toBe(readFileSync(join(log.dir, 'checkpoint'), 'utf8'))
  })

  it.each([0, 1, 199, 200, 255, 256, 257, 511, 512, 598, 599])('of line %i holds', async (index) => {
    const report = verifyProof(await proveLine(dir, log.origin, index), { vkey })
    const { origin } = log
    expect(report).toEqual({
      ok: true,
      authenticated: true,
      origin,
      index,
      size: lines,
      line: log.lines[index],
      fault: undefined,
    })
  })

  it('without a key is held against nobody', async () => {
    expect(verifyProof(await proveLine(dir, log.origin, 3))).toMatchObject({ ok: true, authenticated: false })
  })

  it('does not hold under the key of somebody else', async () => {
    const text = await proveLine(dir, log.origin, 3)
    const fault = 'the checkpoint is not valid: it is not signed by a known key'
    expect(verifyProof(text, { vkey: newSigner('shop/a').vkey })).toMatchObject({ ok: false, line: undefined, fault })
    const other = newSigner('shop/b')
    const forged = text.slice(0, text.indexOf('\n\n') + 2) + signNote(noteBody(text), other)
    expect(verifyProof(forged, { vkey: other.vkey }).fault).toBe(`shop/b does not sign for ${log.origin}`)
  })

  it('holds of a line that went through a database', async () => {
    const text = await proveLine(dir, log.origin, 3)
    const event = JSON.parse(log.lines[3]!)
    const turned = Object.fromEntries(Object.entries(event).reverse())
    for (const line of [`${log.lines[3]}\r\n`, JSON.stringify(turned), JSON.stringify(event, undefined, 2)]) {
      expect(verifyProof(text, { vkey, line })).toMatchObject({ ok: true, line: log.lines[3] })
    }
    const fault = 'the line is not the one at this index of the signed tree'
    for (const line of ['', 'x', `${log.lines[3]}x`, log.lines[4]!, JSON.stringify({ ...event, more: 1 })]) {
      expect(verifyProof(text, { vkey, line })).toMatchObject({ ok: false, fault })
    }
    expect(verifyProof(text, { vkey, line: '{"x":1e999}' })).toMatchObject({ ok: false, fault })
  })

  it('does not hold of a copy that shows other readers something else', async () => {
    const line = log.lines[3]!
    const text = await proveLine(dir, log.origin, 3)
    const [index, name] = ['"index":3', '"event_name":"request.completed"']
    expect(line).toContain(index)
    expect(line).toContain(name)
    // The last of two keys counts for JavaScript, the first for others; and a decimal may have more places than a double.
    for (const copy of [
      line.replace(name, `"event_name":"access.denied",${name}`),
      line.replace(name, `"event\\u005fname":"access.denied",${name}`),
      line.replace(index, `"index":4,${index}`),
      line.replace(index, '"index":3.0000000000000000001'),
    ]) {
      expect(JSON.parse(copy)).toEqual(JSON.parse(line))
      expect(verifyProof(text, { vkey, line: copy })).toMatchObject({ ok: false })
    }
    for (const same of ['3.0', '3e0', '0.3E+1', '30e-1'])
      expect(verifyProof(text, { vkey, line: line.replace(index, `"index":${same}`) })).toMatchObject({
        ok: true,
        line,
      })
  })

  it('takes what is written of any value for that value', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.integer({ min: 0, max: 4 }), (event, indent) => {
        const text = JSON.stringify(event, undefined, indent)
        expect(saysJust(text, JSON.parse(text))).toBe(true)
        expect(saysJust(text.replace('{', '{"a":1,"a":1,'), JSON.parse(text))).toBe(false)
      }),
    )
  })

  it('does not hold of a line that says that it stands elsewhere', async () => {
    const index = 602
    const line = log.lines[0]!
    const other = await HandLog.begin(join(dir, 'b'), 'traffic', newSigner('shop/b'))
    other.write(index)
    other.writeRaw(line)
    await other.sign()
    expect(verifyProof(await proveLine(dir, other.origin, index)).fault).toBe('audit.index is 0, expected 602')
  })

  it('does not hold when anything in it is changed', async () => {
    const text = await proveLine(dir, log.origin, 300)
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(text)
        bytes[at % bytes.length]! ^= flip
        let report: { ok: boolean }
        try {
          report = verifyProof(bytes.toString('utf8'), { vkey, line: log.lines[300]! })
        } catch (error) {
          expect(error).toMatchObject({ code: 'log-invalid' })
          return
        }
        // The extra data is not what was checked here.
        const inExtra = text.slice(0, at).split('\n').length === 2
        if (!inExtra) expect(report.ok).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['', 'no empty line before its checkpoint'],
    ['c2sp.org/tlog-proof@v2\nindex 0\n\nx', 'its first line is not c2sp.org/tlog-proof@v1'],
    ['c2sp.org/tlog-proof@v1\nextra *\nindex 0\n\nx', 'its extra data is not in base64'],
    ['c2sp.org/tlog-proof@v1\nindex 01\n\nx', 'it has no index'],
    ['c2sp.org/tlog-proof@v1\nindex 9007199254740993\n\nx', 'it has no index'],
    ['c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx', 'no SHA-256 hash'],
    ['c2sp.org/tlog-proof@v1\nindex 0\n\nx', 'it has no checkpoint'],
    [`c2sp.org/tlog-proof@v1\nindex 0\n\no/x\n1\n${'A'.repeat(43)}=\n\n— o AAAAAAA=\n`, 'must be given'],
  ])('that is none is unusable: %j', (text, fact) => {
    expect(() => verifyProof(text)).toThrow(fact)
  })
})

const noteBody = (text: string): string => {
  const note = text.slice(text.indexOf('\n\n') + 2)
  return note.slice(0, note.indexOf('\n\n') + 1)
}

describe('what cannot be proved', () => {
  it.each([
    ['a line that no checkpoint covers', lines, `line ${lines} is not one of the ${lines}`],
    ['a number that is no index', 0.5, 'line 0.5 is not one of the'],
  ])('%s', async (_, index, fact) => {
    await expect(proveLine(dir, log.origin, index)).rejects.toMatchObject({
      code: 'log-invalid',
      message: expect.stringContaining(fact),
    })
  })

  it('a line of a log that is not there; those that are get named', async () => {
    await expect(proveLine(dir, 'shop/x/traffic/0', 0)).rejects.toThrow(
      `has no log shop/x/traffic/0; it has ${log.origin}`,
    )
  })

  it('a line that was altered, or whose hash was', async () => {
    const damaged = (file: string, where: number) => {
      const path = join(log.dir, file)
      const kept = readFileSync(path)
      const bytes = Buffer.from(kept)
      bytes[where]! ^= 1
      writeFileSync(path, bytes)
      return () => writeFileSync(path, kept)
    }
    const mendLine = damaged('segments/0000000000000000.jsonl', 50)
    await expect(proveLine(dir, log.origin, 0)).rejects.toThrow('is not the one that was signed')
    mendLine()
    const mendHash = damaged('tile/0/000', 50)
    await expect(proveLine(dir, log.origin, 0)).rejects.toThrow('do not yield the signed root')
    mendHash()
  })
})

it('a line that retention has deleted is proved by whoever has it, before and after', async () => {
  const before = await proveLine(dir, log.origin, 5)
  rmSync(join(log.dir, 'segments/0000000000000000.jsonl'))
  const after = await proveLine(dir, log.origin, 5)
  expect(after).not.toContain('\nextra ')
  expect(() => verifyProof(after, { vkey })).toThrow('does not bring the line along')
  for (const proof of [before, after]) {
    expect(verifyProof(proof, { vkey, line: log.lines[5]! })).toMatchObject({ ok: true, authenticated: true })
  }
})
