// Lines that are too long for a container's log.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonical } from '../../../src/canonical.ts'
import { chunked } from '../../../src/sinks/shared/chunks.ts'

const of = 'shop/host-1.0/traffic/9f2c9f2c9f2c9f2c/41'

it('a line that fits is left as it is', () => {
  const line = canonical({ text: 'é'.repeat(100) })
  expect(chunked(line, of, Buffer.byteLength(line))).toEqual([line])
  expect(chunked(line, of, Buffer.byteLength(line) - 1)).not.toEqual([line])
})

it('the longest line comes in parts that are numbered, canonical, as large as they may be, and no larger', () => {
  const line = canonical({ text: 'x"\\'.repeat(10_000), more: '€'.repeat(8000) })
  const parts = chunked(line, of, 16_000)
  const chunks = parts.map((part) => JSON.parse(part).chunk)
  expect(chunks.map(({ of, part, parts }) => [of, part, parts])).toEqual(
    chunks.map((_, i) => [of, i + 1, parts.length]),
  )
  expect(chunks.map(({ text }) => text).join('')).toBe(line)
  for (const part of parts) {
    expect(canonical(JSON.parse(part))).toBe(part)
    expect(Buffer.byteLength(part)).toBeLessThanOrEqual(16_000)
  }
  for (const part of parts.slice(0, -1)) expect(Buffer.byteLength(part)).toBeGreaterThan(15_900)
})

it('whatever stands in a line: the parts fit, are well-formed, and make the line again', () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom('"', '\\', '\n', '\u0000', '\u2028', '😀', 'é', 'x')),
    maxLength: 3000,
  })
  fc.assert(
    fc.property(text, fc.integer({ min: 200, max: 1000 }), (given, most) => {
      const line = canonical({ given })
      const parts = chunked(line, of, most)
      if (parts.length === 1) {
        expect(parts).toEqual([line])
        return
      }
      const chunks = parts.map((part) => JSON.parse(part).chunk)
      expect(chunks.map((chunk) => chunk.text).join('')).toBe(line)
      for (const chunk of chunks) expect(chunk.text.isWellFormed()).toBe(true)
      for (const part of parts) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(most)
    }),
    { numRuns: 300 },
  )
})
