// Syslog messages, by the grammar of RFC 5424.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { framed, messageOf } from '../../../src/sinks/syslog/message.ts'
import { batchOf, sample } from '../../support/sample-events.ts'

// HEADER SP STRUCTURED-DATA SP MSG of section 6, with the lengths of its fields.
const grammar =
  /^<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (-|(?:\[[^ =\]"]{1,32}(?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])+) ([\s\S]*)$/u

const parsed = (message: string) => {
  const [, pri, time, hostname, app, process, id, data, text] = grammar.exec(message) ?? []
  return { pri, time, hostname, app, process, id, data, text }
}
const line = batchOf([sample('config.changed')], 41, 'demo/host-1.0/control/9f2c').lines[0]!

it('has the line whole behind a header that says who, what and when', () => {
  expect(parsed(messageOf(line, { hostname: 'node-1', facility: 16 }))).toEqual({
    pri: '134',
    time: sample('config.changed').time,
    hostname: 'node-1',
    app: 'demo',
    process: 'host-1.0',
    id: 'config.changed',
    data: '-',
    text: line,
  })
})

it('tells origin and index in structured data under a number of your own', () => {
  expect(
    parsed(messageOf(line, { hostname: 'node-1', facility: 13, appName: 'edge', enterprise: 12345 })),
  ).toMatchObject({
    pri: '110',
    app: 'edge',
    data: '[auditlb@12345 origin="demo/host-1.0/control/9f2c" index="41"]',
  })
})

it.each([
  [5, 7],
  [9, 6],
  [13, 4],
  [17, 3],
  [21, 2],
])('severity %i of OpenTelemetry is %i of syslog', (given, expected) => {
  const [changed] = batchOf([{ ...sample('config.changed'), severity: given }]).lines
  expect(parsed(messageOf(changed!, { hostname: 'node-1', facility: 16 })).pri).toBe(String(16 * 8 + expected))
})

it('keeps to the grammar whatever stands in an event', () => {
  const word = fc.string({ unit: 'binary', maxLength: 200 }).map((text) => text.toWellFormed())
  fc.assert(
    fc.property(word, word, word, word, (name, service, origin, time) => {
      const event = {
        event_name: name,
        service: { name: service, instance: { id: name } },
        time,
        audit: { origin, index: 1 },
      }
      const given = JSON.stringify(event)
      expect(parsed(messageOf(given, { hostname: 'node-1', facility: 16, enterprise: 1 })).text).toBe(given)
    }),
    { numRuns: 300 },
  )
})

it('is framed by its length in bytes', () => {
  expect(framed('é€').toString()).toBe('5 é€')
})
