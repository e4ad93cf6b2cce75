// Lines as they are, and mapped.
import { expect, it } from 'vitest'
import { formats, toEcs, toOcsf, toOtel } from '../../../src/index.ts'
import { batchOf, samples } from '../../support/sample-events.ts'

const batch = batchOf([...samples.values()])

it('ndjson and json are the lines of the log, byte for byte', () => {
  expect(formats.ndjson()(batch)).toEqual({
    contentType: 'application/x-ndjson',
    body: batch.lines.map((line) => `${line}\n`).join(''),
  })
  expect(formats.json()(batch)).toEqual({ contentType: 'application/json', body: `[${batch.lines.join(',')}]` })
})

it.each([
  ['ecs', toEcs],
  ['ocsf', toOcsf],
  ['otel', toOtel],
] as const)('told in the words of %s, each line is what the function makes of its event', (map, to) => {
  const expected = batch.lines.map((line) => to(JSON.parse(line)))
  expect(JSON.parse(formats.json({ map })(batch).body)).toEqual(JSON.parse(JSON.stringify(expected)))
  expect(
    formats
      .ndjson({ map })(batch)
      .body.split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
  ).toEqual(JSON.parse(JSON.stringify(expected)))
})

it('a function of your own gets the event and its line', () => {
  const map = (event: { readonly event_name?: unknown }, line: string): object => ({ name: event.event_name, line })
  expect(JSON.parse(formats.json({ map })(batch).body)).toEqual(
    batch.lines.map((line) => ({ name: JSON.parse(line).event_name, line })),
  )
})

it('none of the mappings changes the event', () => {
  for (const event of samples.values()) {
    const before = JSON.stringify(event)
    for (const to of [toEcs, toOcsf, toOtel]) to(event)
    expect(JSON.stringify(event)).toBe(before)
  }
})
