// The line that is written by hand is what canonical JSON is, by our own code and by another's, for any event of the schema.
import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { completedLine } from '../../src/audit/completed-line.ts'
import { number, quoted } from '../../src/audit/line-parts.ts'
import { canonical, type Json, Written } from '../../src/canonical.ts'
import type { AuditEvent } from '../../src/events.ts'
import { arbitraryOf } from '../support/arbitrary-event.ts'
import { shippedSchema } from '../support/schemas.ts'

type Completed = AuditEvent<'request.completed'>

/** As the redaction hands them over: written already. */
const withWritten = (event: Completed): Completed => {
  const { header } = event.http.request
  if (header === undefined) return event
  const written = new Written(canonical(header as Json)) as unknown as typeof header
  return { ...event, http: { ...event.http, request: { ...event.http.request, header: written } } }
}

/** As the sealer gets it: with a place in its log. */
const placed = ({ audit, network, ...rest }: Completed): Completed => {
  const { truncated: _, ...whole } = audit
  const protocol = network.protocol ?? { name: 'http', version: '1.1' }
  return { ...rest, audit: { ...whole, index: 7, origin: 'o' }, network: { ...network, protocol } }
}

/** A line as the sealer makes it. */
const lineOf = (event: Completed): string => completedLine(event) ?? canonical(event as unknown as Json)

describe('the line of request.completed', () => {
  it('is canonical JSON of any event that its schema allows', () => {
    fc.assert(
      fc.property(arbitraryOf(shippedSchema('request.completed')), (given) => {
        const event = placed(given as Completed)
        const expected = canonicalize(event)
        expect(completedLine(event)).toBe(expected)
        expect(completedLine(withWritten(event))).toBe(expected)
        expect(canonical(withWritten(event) as unknown as Json)).toBe(expected)
        expect(lineOf(given as Completed)).toBe(canonicalize(given))
      }),
      { numRuns: 1000 },
    )
  })

  it('remembers no part of one event in another', () => {
    // Few values, so that nearly everything repeats, and some part nearly always differs.
    fc.assert(
      fc.property(
        fc.array(arbitraryOf(shippedSchema('request.completed'), { texts: ['a', 'b'], most: 2 }), { minLength: 2 }),
        (all) => {
          for (const given of all) {
            const event = placed(given as Completed)
            expect(completedLine(event)).toBe(canonicalize(event))
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('cannot be made of what JSON has no form for', () => {
    const event = fc.sample(arbitraryOf(shippedSchema('request.completed')), { numRuns: 1, seed: 7 })[0] as never
    const bad = structuredClone(event) as Completed
    bad.lb.timing.total_us = Number.NaN
    Object.assign(bad.audit, { index: 1, origin: 'o' })
    expect(() => lineOf(bad)).toThrow(TypeError)
  })
})

it('texts and numbers are as JSON.stringify has them', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.maxSafeInteger(), fc.nat(2_000_000), (text, any, small) => {
      expect([quoted(text), number(any), number(small), number(-small), number(small / 8)]).toEqual(
        [text, any, small, -small, small / 8].map((one) => JSON.stringify(one)),
      )
    }),
    { numRuns: 2000 },
  )
  for (const edge of [0, -0, 1, 999, 1000, 999_999, 1e6, 1e6 + 1, 2 ** 53 - 1, 1e21])
    expect(number(edge)).toBe(JSON.stringify(edge))
  for (const none of [Number.NaN, Number.POSITIVE_INFINITY]) expect(() => number(none)).toThrow(TypeError)
})
